"""What dlib found, kept beside the page that is being made, so that Ctrl-C loses none of it.

Its answers depend on nothing but the pixels that it is shown, so each is kept under their digest and the next call of
the same clip gets the same landmarks, whatever else has changed.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dlib
import numpy as np

NAME = ".faces.jsonl"  # in the page's folder, until the page is written


@contextmanager
def keeping(models: tuple[Callable, Callable], predictor: Path,
            folder: Path | None) -> Iterator[tuple[Callable, Callable]]:
    """`models` (see `faces.dlib_models`), read from the file `predictor`, whose answers lie in a file of the folder
    until the block ends well or in an error; an interrupt leaves them for the next call. Without a folder nothing is
    kept."""
    if folder is None:
        yield models
        return
    detect, predict = models
    path, began = folder / NAME, f"dlib {dlib.__version__}, {predictor.name}, {predictor.stat().st_size} bytes"
    known, whole = _read(path, began)
    if known:
        searches = sum(not key.startswith("points") for key in known)
        print(f"predict: reusing what the face detector found in {searches} searches of an interrupted run",
              file=sys.stderr)
    with open(path, "r+" if whole else "w", encoding="utf-8") as file:
        if whole:
            file.seek(whole)
            file.truncate()
        else:
            file.write(json.dumps(began) + "\n")

        def remembered(key: str, image: np.ndarray, make: Callable[[], tuple[list, list]]) -> tuple[list, list]:
            digest = hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest()
            key = f"{key} {image.shape[0]}x{image.shape[1]} {digest}"
            if key not in known:
                known[key] = make()
                file.write(json.dumps([key, *known[key]]) + "\n")
                file.flush()
            return known[key]

        def found(image: np.ndarray, upsample: int) -> tuple[np.ndarray, np.ndarray]:
            boxes, scores = remembered(f"faces {upsample}", image, lambda: tuple(
                array.tolist() for array in detect(image, upsample)))
            return np.array(boxes, np.int32).reshape(-1, 4), np.array(scores, np.float32)

        def points(image: np.ndarray, box: np.ndarray) -> np.ndarray:
            where = " ".join(map(str, map(int, box)))
            return np.array(remembered(f"points {where}", image, lambda: (predict(image, box).tolist(), []))[0],
                            np.float32)

        try:
            yield found, points
        except OSError:  # such as a full disk, which can be mended
            raise
        except Exception:
            path.unlink()  # a clip that is refused is refused again
            raise


def forget(folder: Path) -> None:
    """The page is written."""
    (folder / NAME).unlink(missing_ok=True)


def _read(path: Path, began: str) -> tuple[dict[str, tuple[list, list]], int]:
    """What was kept by the same detector, and how many bytes of the file are whole lines of it."""
    known: dict[str, tuple[list, list]] = {}
    whole = 0
    try:
        lines = path.read_bytes().splitlines(keepends=True)
        if not lines or json.loads(lines[0]) != began:
            return {}, 0
        whole = len(lines[0])
        for line in lines[1:]:
            key, boxes, scores = json.loads(line)
            if not line.endswith(b"\n"):
                break
            known[key] = (boxes, scores)
            whole += len(line)
    except (OSError, ValueError):  # none yet, or its last line is half
        pass
    return known, whole

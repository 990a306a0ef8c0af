"""What the face detector found, kept beside the page that is being made, so that Ctrl-C loses none of it.

The detector's answer depends on nothing but the pixels that it is shown, so an answer is kept under their digest and
the next call of the same clip gets the same landmarks, whatever else has changed.
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
def keeping(detect: Callable, folder: Path | None) -> Iterator[Callable]:
    """`detect` (see `faces.dlib_models`), whose answers lie in a file of the folder until the block ends well or in an
    error; an interrupt leaves them for the next call. Without a folder nothing is kept."""
    if folder is None:
        yield detect
        return
    path, began = folder / NAME, dlib.__version__
    known, whole = _read(path, began)
    if known:
        print(f"predict: reusing what the face detector found in {len(known)} searches of an interrupted run",
              file=sys.stderr)
    with open(path, "r+" if whole else "w", encoding="utf-8") as file:
        if whole:
            file.seek(whole)
            file.truncate()
        else:
            file.write(json.dumps(began) + "\n")

        def remembered(image: np.ndarray, upsample: int) -> tuple[np.ndarray, np.ndarray]:
            shown = hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest()
            key = f"{image.shape[0]}x{image.shape[1]} {upsample} {shown}"
            if key not in known:
                boxes, scores = detect(image, upsample)
                known[key] = (boxes.tolist(), scores.tolist())
                file.write(json.dumps([key, *known[key]]) + "\n")
                file.flush()
            boxes, scores = known[key]
            return np.array(boxes, np.int32).reshape(-1, 4), np.array(scores, np.float32)

        try:
            yield remembered
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

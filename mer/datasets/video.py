"""Films: what FFmpeg mutters about them is heard, and they become the folders of frames that a release's reader wants.

A film that is cut or damaged decodes: what is missing is told by its header, what is garbage by FFmpeg's complaints.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mer.base import hearing, terminal
from mer.base.errors import MerError
from mer.datasets.clips import IMAGE_SUFFIXES
from mer.datasets.tree import VIDEOS, video_files

SILENT = 0  # OpenCV's LOG_LEVEL_SILENT
ERRORS = "16"  # FFmpeg's level: what it cannot decode, and not what it wonders about
FASTEST = 1e5  # frames per second; a header that says more does not know
ESTIMATED = {".mkv", ".webm"}  # containers that tell how long a film is, not how many frames


def _set_log_level(level: int) -> int:
    """Set what OpenCV says on stderr; returns the level before. The function moved to `cv2.utils.logging` in 4.13."""
    return (cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel)(level)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[cv2.VideoCapture | None]:
    """OpenCV's capture of a film, None if it cannot be opened; what FFmpeg mutters about it is silenced."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", ERRORS if hearing.HEARS_STDOUT else "-8")
    before = _set_log_level(SILENT)
    with hearing.listening_to_both():
        # no other decoder: OpenCV's own for AVI grabs what it cannot decode; one thread: it complains while it grabs
        video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        yield video if video.isOpened() else None
    finally:
        with hearing.listening_to_both():
            video.release()
        _set_log_level(before)


def grabbed(video: cv2.VideoCapture) -> Iterator[tuple[int, str]]:
    """(number, what its decoder complains of) of every frame of a film that is `opened`, from 1; `video.retrieve` then
    gives the picture."""
    number = 0
    while True:
        with hearing.listening_to_both() as heard:
            more = video.grab()
        if not more:
            return
        number += 1
        said = b"".join(heard).decode(errors="replace").strip().splitlines()
        yield number, re.sub(r"^(\[[^\]]*\]\s*)+", "", said[0]) if said else ""


@dataclass(frozen=True)
class Examined:
    """`count` frames could be decoded, at `fps` (None: not told) frames per second; `promised` by its header, 0 where
    that does not say; `damaged`: the number of the first frame that its decoder complains of, 0 = none, and what it
    says."""

    count: int
    fps: float | None
    promised: int
    damaged: int
    said: str

    @property
    def wrong(self) -> str:
        """In words, what makes one doubt that this is the whole film; else nothing."""
        told = [f"damaged at frame {self.damaged} ({self.said})"] if self.damaged else []
        if self.promised > self.count:
            told.append(f"{self.count} frames could be read of the {self.promised} in its header: cut or damaged?")
        return ", ".join(told)


def examine(path: Path, each: Callable[[int, cv2.VideoCapture], None] = lambda number, video: None) -> Examined:
    """Decode a film once, `each` frame handed on."""
    count, damaged, said, end = 0, 0, "", 0.0
    with opened(path) as video:
        if video is None:
            return Examined(0, None, 0, 0, "")
        promised, fps = max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT))), video.get(cv2.CAP_PROP_FPS)
        for number, words in grabbed(video):
            count, end = number, video.get(cv2.CAP_PROP_POS_MSEC) / 1e3
            if words and not damaged:
                damaged, said = number, words
            each(number, video)
    if path.suffix.lower() in ESTIMATED and count > 1 and end + 2 * end / (count - 1) > promised / (fps or 1.0):
        promised = count  # its frames reach to the end, however far they lie apart
    return Examined(count, fps if 0 < fps < FASTEST else None, promised, damaged, said)


def films(path: Path) -> list[tuple[Path, Path]]:
    """(film, folder of its frames relative to the output) of one film, or of all below a folder, sorted.

    Raises:
        MerError: nothing there, no film, or two films whose frames would lie in one folder.
    """
    if path.is_file():
        if path.suffix.lower() not in VIDEOS:
            raise MerError(f"{path}: not a film; expected one of {', '.join(sorted(VIDEOS))}, or a folder with some")
        return [(path, Path(path.stem))]
    if not path.is_dir():
        raise MerError(f"{path}: no such film or folder")
    found = [(film, film.relative_to(path).with_suffix("")) for film in sorted(video_files(path))]
    if not found:
        raise MerError(f"{path}: no film below it; expected files that end in {', '.join(sorted(VIDEOS))}")
    seen: dict[Path, Path] = {}
    for film, folder in found:
        if (other := seen.setdefault(folder, film)) is not film:
            raise MerError(f"{film} and {other.name}: their frames would lie in one folder; rename one")
    return found


def write_frames(film: Path, out: Path, *, form: str = "png", quality: int = 95, name: str = "{:05d}",
                 first: int = 1) -> Examined:
    """Every frame of a film as an image in the folder `out`, which appears whole or not at all.

    Args:
        form: png (lossless) or jpg, of that `quality` (1..100).
        name: of a file without its ending, with a place for the frame's number; first: number of the first frame.

    Returns:
        What was found of the film.

    Raises:
        MerError: it cannot be opened or has no frame; the disk is full.
    """
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if form == "jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 3]
    try:
        part.mkdir(parents=True)
        found = examine(film, lambda number, video: _write(
            part / f"{name.format(first + number - 1)}.{form}", video.retrieve()[1], options))
        if not found.count:
            raise MerError(f"{film}: not a film that OpenCV can read; convert it (ffmpeg -i IN OUT.mp4)")
        part.replace(out)
    except OSError as error:
        raise MerError(f"{out}: {error.strerror}; its frames are written there") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return found


def _write(path: Path, image: np.ndarray, options: list[int]) -> None:
    coded, data = cv2.imencode(path.suffix, image, options)
    if not coded:
        raise MerError(f"{path}: OpenCV cannot write this frame, {image.shape[1]} x {image.shape[0]} pixels")
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise MerError(f"{path}: {error.strerror}; {data.nbytes / 1e6:.1f} MB a frame are needed") from error


def is_done(out: Path) -> bool:
    """Whether a folder holds frames already."""
    return out.is_dir() and any(entry.suffix.lower() in IMAGE_SUFFIXES for entry in out.iterdir())


def convert(path: Path, out: Path, *, form: str = "png", quality: int = 95, name: str = "{:05d}",
            first: int = 1) -> list[str]:
    """The frames of every film of `path` in folders below `out`; those that are there are kept. What it has to say.

    Raises:
        MerError: as `films`; a name without a place for the number; after the others, films that cannot be read.
    """
    try:
        told = name.format(first)
    except (IndexError, KeyError, ValueError):
        told = ""
    if not told or told == name or name.format(first + 1) == told or Path(told).name != told:
        raise MerError(f"--name {name}: expected a file name with a place for the number, such as img{{}} or {{:05d}}")
    if not told[-1].isdigit():
        raise MerError(f"--name {name}: the readers take the last number of a name; expected it at the end")
    jobs = [(film, out / folder) for film, folder in films(path)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MerError(f"{out}: {error.strerror}; expected a folder that can be written") from error
    todo = [(film, folder) for film, folder in jobs if not is_done(folder)]
    lines, failed, frames = [], [], 0
    for film, folder in terminal.progress(todo, total=len(jobs), initial=len(jobs) - len(todo), desc="frames",
                                          unit="film"):
        try:
            found = write_frames(film, folder, form=form, quality=quality, name=name, first=first)
        except MerError as error:
            failed.append(str(error))
            continue
        frames += found.count
        if found.wrong:
            lines.append(f"{film}: {found.wrong}")
    kept = len(jobs) - len(todo)
    lines.append(f"{frames} frames of {len(todo) - len(failed)} films written to {out.as_posix()}"
                 + (f", {kept} films were there already" if kept else ""))
    if failed:
        raise MerError(*lines, *failed)
    return lines

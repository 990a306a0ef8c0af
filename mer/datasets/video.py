"""Films: opened without FFmpeg's muttering, and turned into the folders of frames that a release's reader expects."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from mer.base import parallel
from mer.base.errors import MerError
from mer.datasets.clips import IMAGE_SUFFIXES
from mer.datasets.tree import VIDEOS, video_files

SILENT = 0  # OpenCV's LOG_LEVEL_SILENT


def _set_log_level(level: int) -> int:
    """Set what OpenCV says on stderr; returns the level before. The function moved to `cv2.utils.logging` in 4.13."""
    return (cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel)(level)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[cv2.VideoCapture | None]:
    """OpenCV's capture of a film, None if it cannot be opened; what FFmpeg mutters about it is silenced."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    before = _set_log_level(SILENT)
    video = cv2.VideoCapture(str(path))
    try:
        yield video if video.isOpened() else None
    finally:
        video.release()
        _set_log_level(before)


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
                 first: int = 1) -> tuple[int, int]:
    """Every frame of a film as an image in the folder `out`, which appears whole or not at all.

    Args:
        form: png (lossless) or jpg, of that `quality` (1..100).
        name: of a file without its ending, with a place for the frame's number; first: number of the first frame.

    Returns:
        How many frames were read, and how many its header promises (0: it does not say).

    Raises:
        MerError: it cannot be opened or has no frame; the disk is full.
    """
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if form == "jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 3]
    count = 0
    try:
        part.mkdir(parents=True)
        with opened(film) as video:
            promised = 0 if video is None else max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT)))
            while video is not None and video.grab():
                _write(part / f"{name.format(first + count)}.{form}", video.retrieve()[1], options)
                count += 1
        if not count:
            raise MerError(f"{film}: not a film that OpenCV can read; convert it (ffmpeg -i IN OUT.mp4)")
        part.replace(out)
    except OSError as error:
        raise MerError(f"{out}: {error.strerror}; its frames are written there") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return count, promised


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
    for film, folder in parallel.progress(todo, total=len(jobs), initial=len(jobs) - len(todo), desc="frames",
                                          unit="film"):
        try:
            count, promised = write_frames(film, folder, form=form, quality=quality, name=name, first=first)
        except MerError as error:
            failed.append(str(error))
            continue
        frames += count
        if promised > count:
            lines.append(f"{film}: {count} frames could be read of the {promised} in its header: cut or damaged?")
    kept = len(jobs) - len(todo)
    lines.append(f"{frames} frames of {len(todo) - len(failed)} films written to {out.as_posix()}"
                 + (f", {kept} films were there already" if kept else ""))
    if failed:
        raise MerError(*lines, *failed)
    return lines

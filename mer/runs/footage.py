"""A clip of one's own: a video or a folder of numbered images, and the row that the index would hold of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mer.base import terminal
from mer.base.errors import MerError
from mer.datasets.clips import IMAGE_SUFFIXES, LARGEST, Clip, numbered_frames, safe_name, too_large
from mer.datasets.tree import VIDEOS
from mer.datasets.video import examine, grabbed, opened
from mer.labels import images

HELD = 2**30  # bytes of gray frames that are kept, so that a film is decoded once; of a longer one none are
OTHERS = {".tif", ".tiff", ".webp", ".gif", ".heic", ".jpe", ".jp2", ".dng"}  # images that are not read
DATASET, SUBJECT = "own", "own/clip"  # of the user's clip, whose subject is not known


@dataclass(frozen=True)
class Footage:
    """A clip on disk. `numbers` of its frames, increasing; `fps` of a video; `read(clip)` yields (number, gray image)
    of the frames first..last; `wrong`: what makes one doubt that a video is whole."""

    path: Path
    numbers: list[int]
    fps: float | None
    read: Callable[[Clip], Iterator[tuple[int, np.ndarray]]]
    wrong: str = ""


def footage(path: Path) -> Footage:
    """Open a video (its first frame is number 1) or a folder of numbered images.

    Raises:
        MerError: nothing there, or nothing that can be read as frames.
    """
    if path.is_dir():
        numbers = [number for number, _ in numbered_frames(path)]
        if not numbers:
            videos = sorted(file.name for file in path.iterdir() if file.suffix.lower() in VIDEOS)
            others = sorted(file.name for file in path.iterdir() if file.suffix.lower() in OTHERS)
            raise MerError(f"{path}: no image with a number in its name; expected frames such as img1.jpg"
                           + (f" ({others[0]}: read are {', '.join(sorted(IMAGE_SUFFIXES))}, convert it)"
                              if others else "") + (f", or one of its videos by name ({videos[0]})" if videos else ""))
        return Footage(path, numbers, None, _once(lambda clip: images.frames(path, clip)))
    if not path.is_file():
        raise MerError(f"{path}: no such file or folder; expected a video, or a folder of numbered frames")
    if path.suffix.lower() in IMAGE_SUFFIXES | OTHERS:
        raise MerError(f"{path}: a single image; expected a video, or the folder of the frames")
    with terminal.progress(None, total=None, desc="reading", unit="frame") as bar:
        found = examine(path, lambda number, video: bar.update() and None)
    if not found.count:
        raise MerError(f"{path}: not a video that OpenCV can read; convert it (ffmpeg -i IN OUT.mp4), or extract its "
                       "frames into a folder")
    return Footage(path, list(range(1, found.count + 1)), found.fps, _once(lambda clip: _decode(path, clip)),
                   found.wrong)


def _once(read: Callable[[Clip], Iterator[tuple[int, np.ndarray]]]) -> Callable:
    """`read`, whose frames of the last clip are kept where they are few enough: landmarks and alignment both ask."""
    kept: dict[Clip, list[tuple[int, np.ndarray]]] = {}

    def again(clip: Clip) -> Iterator[tuple[int, np.ndarray]]:
        if clip in kept:
            yield from kept[clip]
            return
        kept.clear()
        frames, size = [], 0
        for number, image in read(clip):
            size += image.nbytes
            if size <= HELD:
                frames.append((number, image))
            else:
                frames.clear()
            yield number, image
        if size <= HELD:
            kept[clip] = frames

    return again


def _decode(path: Path, clip: Clip) -> Iterator[tuple[int, np.ndarray]]:
    with opened(path) as video:
        if video is None:
            raise MerError(f"{path}: cannot be opened any more")
        for number, _ in grabbed(video):
            if number > clip.last:
                return
            if number >= clip.first:
                there, image = video.retrieve()
                if not there:
                    raise MerError(f"{path}: frame {number} cannot be decoded; get it anew, or convert it")
                yield number, image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def annotate(film: Footage, onset: int | None, apex: int | None, offset: int | None) -> Clip:
    """The clip's row, as the index would hold it; without onset and offset all its frames, apex None = not known.

    Raises:
        MerError: a frame number that the clip does not have, numbers out of order, fewer than two frames; a video that
            is not whole, of which no part is named.
    """
    if film.numbers[-1] > LARGEST:
        raise MerError(f"{film.path}: {too_large(film.numbers[-1])}")
    if film.wrong and None in (onset, offset):
        raise MerError(f"{film.path}: {film.wrong}; get it anew, or say which part is meant (--onset, "
                       "--offset)")
    low, high = film.numbers[0], film.numbers[-1]
    for name, number in (("onset", onset), ("apex", apex), ("offset", offset)):
        if number is not None and number not in film.numbers:
            inside = f", and none of that number: the nearest is {min(film.numbers, key=lambda n: abs(n - number))}"
            raise MerError(f"--{name} {number}: {film.path} has frames {low} to {high}"
                           + (inside if low < number < high else ""))
    onset, offset = low if onset is None else onset, high if offset is None else offset
    if not onset <= (onset if apex is None else apex) <= offset:
        told = f"onset {onset}, {'' if apex is None else f'apex {apex}, '}offset {offset}"
        raise MerError(f"{film.path}: {told}; expected them in this order (--onset, --apex, --offset)")
    count = sum(onset <= number <= offset for number in film.numbers)
    if count < 2:
        raise MerError(f"{film.path}: {count} frame from onset {onset} to offset {offset}; motion needs at least 2")
    return Clip(safe_name(film.path.stem if film.path.is_file() else film.path.resolve().name) or "clip", DATASET,
                "plain", SUBJECT, ".", onset, offset, onset, apex, offset, film.fps or 1.0, "", "", "")

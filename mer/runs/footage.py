"""A clip of one's own: a video or a folder of numbered images, and the row that the index would hold of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mer.base.errors import MerError
from mer.datasets.clips import IMAGE_SUFFIXES, Clip, numbered_frames, safe_name
from mer.datasets.tree import VIDEOS
from mer.datasets.video import opened
from mer.labels import images

HELD = 2**30  # bytes of gray frames that are kept, so that a film is decoded once; of a longer one none are
DATASET, SUBJECT = "own", "own/clip"  # of the user's clip, whose subject is not known


@dataclass(frozen=True)
class Footage:
    """A clip on disk. `numbers` of its frames, increasing; `fps` of a video; `read(clip)` yields (number, gray image)
    of the frames first..last."""

    path: Path
    numbers: list[int]
    fps: float | None
    read: Callable[[Clip], Iterator[tuple[int, np.ndarray]]]


def footage(path: Path) -> Footage:
    """Open a video (its first frame is number 1) or a folder of numbered images.

    Raises:
        MerError: nothing there, or nothing that can be read as frames.
    """
    if path.is_dir():
        numbers = [number for number, _ in numbered_frames(path)]
        if not numbers:
            videos = sorted(file.name for file in path.iterdir() if file.suffix.lower() in VIDEOS)
            raise MerError(f"{path}: no image with a number in its name; expected frames such as img1.jpg"
                           + (f", or one of its videos by name ({videos[0]})" if videos else ""))
        return Footage(path, numbers, None, _once(lambda clip: images.frames(path, clip)))
    if not path.is_file():
        raise MerError(f"{path}: no such file or folder; expected a video, or a folder of numbered frames")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise MerError(f"{path}: a single image; expected a video, or the folder of the frames")
    count, fps = 0, 0.0
    with opened(path) as video:
        if video is not None:
            fps = video.get(cv2.CAP_PROP_FPS)
            while video.grab():
                count += 1
    if not count:
        raise MerError(f"{path}: not a video that OpenCV can read; convert it (ffmpeg -i IN OUT.mp4), or extract its "
                       "frames into a folder")
    return Footage(path, list(range(1, count + 1)), fps if 0 < fps < 1e5 else None,
                   _once(lambda clip: _decode(path, clip)))


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
        number = 0
        while video is not None and video.grab() and (number := number + 1) <= clip.last:
            if number >= clip.first:
                image = video.retrieve()[1]
                yield number, image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def annotate(film: Footage, onset: int | None, apex: int | None, offset: int | None) -> Clip:
    """The clip's row, as the index would hold it; without onset and offset all its frames, apex None = not known.

    Raises:
        MerError: a frame number that the clip does not have, numbers out of order, fewer than two frames.
    """
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

"""Frames from disk: gray, each file read and decoded once, a damaged file named instead of half used.

`cv2.imread` returns half an image for a truncated JPEG without a word (the rest is gray), and a video of which one
frame is half gray teaches a network that frame. So the bytes are checked to be complete before they are decoded.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from mer.base.errors import MerError
from mer.datasets.clips import Clip, frame_files
from mer.labels.listing import Files, paths
from mer.labels.records import Excluded

# inside JPEG's entropy-coded data 0xFF is followed by 00 (a stuffed byte) or D0..D7 (restart); else a marker begins
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def jpeg_is_whole(data: bytes) -> bool:
    """Whether a JPEG's segments lead from its start to its own end-of-image marker.

    Walking the segments, instead of looking for the marker's two bytes, is not deceived by a thumbnail in the header,
    nor by bytes that a camera appended after the end.
    """
    position = 2
    while True:
        found = _MARKER.search(data, position)
        if found is None:
            return False
        kind, position = data[found.start() + 1], found.end()
        if kind == 0xD9:
            return True
        if kind != 0x01:  # all other markers out here carry a length, which counts its own two bytes
            position += max(int.from_bytes(data[position:position + 2], "big"), 2)


def png_is_whole(data: bytes) -> bool:
    """Whether a PNG's chunks lead to its end chunk."""
    position = 8
    while position + 12 <= len(data):
        if data[position + 4:position + 8] == b"IEND":
            return True
        position += 12 + int.from_bytes(data[position:position + 4], "big")
    return False


def read_gray(path: Path) -> np.ndarray:
    """Read one image as gray, (H, W) uint8; colour files are converted by the decoder (JPEG: its luma plane).

    Raises:
        Excluded: the file is missing, empty, cut short, or no image; the reason names it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Excluded(f"{path.as_posix()}: cannot be read ({error.strerror})") from None
    if not data:
        raise Excluded(f"{path.as_posix()}: empty file (0 bytes)")
    if data[:2] == b"\xff\xd8" and not jpeg_is_whole(data):
        raise Excluded(f"{path.as_posix()}: truncated JPEG ({len(data)} bytes without an end-of-image marker)")
    if data[:4] == b"\x89PNG" and not png_is_whole(data):
        raise Excluded(f"{path.as_posix()}: truncated PNG ({len(data)} bytes without an end chunk)")
    # the files are what the release says they are; a viewer's rotation flag must not turn some frames of a clip
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise Excluded(f"{path.as_posix()}: not an image that OpenCV can decode ({len(data)} bytes)")
    return image


def frames(raw_root: str | Path, clip: Clip, listed: Files | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (frame number, (H, W) uint8 gray image) of a clip in order, one file at a time.

    listed: its files, of `listing.listed`; None: its folder is listed here.

    Raises:
        Excluded: no frames, only one frame, a damaged frame, or frames of differing size.
    """
    try:
        files = frame_files(raw_root, clip) if listed is None else paths(raw_root, clip, listed)
    except MerError as error:
        raise Excluded(str(error)) from None
    if len(files) < 2:
        raise Excluded(f"clip of {len(files)} frame; motion needs at least 2")
    shape = None
    for number, path in files:
        image = read_gray(path)
        if shape is not None and image.shape != shape:
            raise Excluded(f"{path.as_posix()}: frame of {image.shape[1]}x{image.shape[0]} pixels in a clip of "
                           f"{shape[1]}x{shape[0]}")
        shape = image.shape
        yield number, image

"""Frames from disk: gray, each file read and decoded once, a damaged file named instead of half used.

`cv2.imread` returns half an image for a truncated JPEG without a word (the rest is gray), and a video of which one
frame is half gray teaches a network that frame. So the bytes are checked before they are decoded, and what the decoder
complains of is heard.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from mer.base import hearing
from mer.base.errors import MerError
from mer.datasets.clips import Clip, frame_files
from mer.labels import files
from mer.labels.listing import Files, paths
from mer.labels.records import Excluded

PIXELS = 10**8  # of a frame at most: what cameras make is below it, and a file can claim any number
DARK = 2**14  # a 16-bit image whose brightest value lies below holds 10, 12 or 14 bits, and would be read as black


def read_gray(path: Path) -> np.ndarray:
    """Read one image as gray, (H, W) uint8, turned as its EXIF says, as every viewer and a film's decoder do; colour
    files are converted by the decoder (JPEG: its luma plane).

    Raises:
        Excluded: the file is missing, empty, cut short, damaged, too large, of few bits in 16, or no image; the reason
            names it.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[np.ndarray, int]:
    """`read_gray`, and EXIF's orientation."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Excluded(f"{path.as_posix()}: cannot be read ({error.strerror})") from None
    if not data:
        raise Excluded(f"{path.as_posix()}: empty file (0 bytes)")
    about = files.header(data)
    if not about.whole:
        end = "end-of-image marker" if about.kind == "JPEG" else "end chunk"
        raise Excluded(f"{path.as_posix()}: truncated {about.kind} ({len(data)} bytes without an {end})")
    if about.width * about.height > PIXELS:
        raise Excluded(f"{path.as_posix()}: claims {about.width}x{about.height} pixels; at most {PIXELS:,} are read, "
                       "scale it down")
    coded = np.frombuffer(data, np.uint8)
    try:
        with hearing.listening() as heard:
            image = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)
    except cv2.error:  # OpenCV's own bounds
        image = None
    if image is None:
        depth = f", {about.bits} bits a channel: save it with 8" if about.bits not in (1, 2, 4, 8, 16) else ""
        raise Excluded(f"{path.as_posix()}: not an image that OpenCV can decode ({len(data)} bytes{depth})")
    if about.kind == "JPEG" and (words := files.complaint(data, heard)):
        raise Excluded(f"{path.as_posix()}: damaged JPEG ({words}), of which a part would be garbage; copy it anew, or "
                       "save it anew by an image program if it looks right")
    if about.bits == 16:
        brightest = int(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH).max())
        if brightest < DARK:
            raise Excluded(f"{path.as_posix()}: 16-bit {about.kind} whose brightest value is {brightest}, as of a "
                           f"camera of {max(brightest.bit_length(), 1)} bits, would be read as black; scale its values "
                           "up to 65535, or save it with 8 bits")
    return image, about.turn


def frames(raw_root: str | Path, clip: Clip, listed: Files | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (frame number, (H, W) uint8 gray image) of a clip in order, one file at a time.

    listed: its files, of `listing.listed`; None: its folder is listed here.

    Raises:
        Excluded: no frames, only one frame, a damaged frame, or frames of differing size.
    """
    try:
        found = frame_files(raw_root, clip) if listed is None else paths(raw_root, clip, listed)
    except MerError as error:
        raise Excluded(str(error)) from None
    if len(found) < 2:
        raise Excluded(f"clip of {len(found)} frame; motion needs at least 2")
    shape, turned = None, None
    for number, path in found:
        image, turn = _read(path)
        turned = turned or turn
        if turn != turned:
            raise Excluded(f"{path.as_posix()}: turned otherwise (EXIF orientation {turn}) than the clip's first frame "
                           f"({turned})")
        if shape is not None and image.shape != shape:
            raise Excluded(f"{path.as_posix()}: frame of {image.shape[1]}x{image.shape[0]} pixels in a clip of "
                           f"{shape[1]}x{shape[0]}")
        shape = image.shape
        yield number, image

"""What an image file tells before its pixels are trusted: size, depth, rotation, and whether it is whole.

Nothing is decoded for it, so that a file that claims 10^10 pixels costs nothing. What a decoder mutters is heard:
OpenCV returns a damaged JPEG as a picture of which a part is garbage, and libjpeg says so on stderr alone.
"""

import re
import sys
from dataclasses import dataclass

# inside JPEG's entropy-coded data 0xFF is followed by 00 (a stuffed byte) or D0..D7 (restart); else a marker begins
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's markers that tell the picture's size
_COMPLAINT = re.compile(rb"(Corrupt JPEG data|Premature end of JPEG|Inconsistent progression)[^\n]*")
_EXTRA = re.compile(rb"(\d+) extraneous bytes before marker 0xd9")
ORIENTATION = 0x0112  # EXIF's tag
HOLE = bytes(64)  # what a broken copy leaves; by the usual tables it would be blocks of which every coefficient is -1
USUAL = bytes.fromhex("00020103030204030505040400 00017d")  # how many codes of each length, of JPEG's usual luma table


@dataclass(frozen=True)
class Header:
    """`kind`: JPEG, PNG, BMP, or '' of anything else, of which nothing is known and `whole` is true; `width`, `height`
    in pixels, 0 where they are not told; `bits` of a channel; `turn`: EXIF's orientation, 1 to 8, 1 as it is stored."""

    kind: str = ""
    width: int = 0
    height: int = 0
    bits: int = 8
    turn: int = 1
    whole: bool = True


def header(data: bytes) -> Header:
    """Of a file's bytes; nothing is decoded."""
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    if data[:4] == b"\x89PNG":
        return _png(data)
    if data[:2] == b"BM" and len(data) >= 26:
        return Header("BMP", *(abs(int.from_bytes(data[at:at + 4], "little", signed=True)) for at in (18, 22)))
    return Header()


def _jpeg(data: bytes) -> Header:
    """Its segments are walked from its start to its own end-of-image marker.

    Walking, instead of looking for the marker's two bytes, is not deceived by a thumbnail in the header, nor by bytes
    that a camera appended after the end.
    """
    position, size, turn = 2, (0, 0, 8), 1
    while (found := _MARKER.search(data, position)) is not None:
        kind, position = data[found.start() + 1], found.end()
        if kind == 0xD9:
            return Header("JPEG", *size, turn)
        if kind in _FRAME:
            size = (_big(data, position + 5, 2), _big(data, position + 3, 2), _big(data, position + 2, 1))
        elif kind == 0xE1 and data[position + 2:position + 8] == b"Exif\0\0":
            turn = _turn(data[position + 8:position + _big(data, position, 2)])
        if kind != 0x01:  # all other markers out here carry a length, which counts its own two bytes
            position += max(_big(data, position, 2), 2)
    return Header("JPEG", *size, turn, whole=False)


def _png(data: bytes) -> Header:
    """Its chunks are walked to its end chunk."""
    position, size, turn = 8, (_big(data, 16, 4), _big(data, 20, 4), _big(data, 24, 1)), 1
    while position + 12 <= len(data):
        length, name = _big(data, position, 4), data[position + 4:position + 8]
        if name == b"IEND":
            return Header("PNG", *size, turn)
        if name == b"eXIf":
            turn = _turn(data[position + 8:position + 8 + length])
        position += 12 + length
    return Header("PNG", *size, turn, whole=False)


def _big(data: bytes, position: int, count: int) -> int:
    return int.from_bytes(data[position:position + count], "big")


def _turn(exif: bytes) -> int:
    """The orientation in EXIF's first directory, 1 where it has none."""
    order = "little" if exif[:2] == b"II" else "big"
    start = int.from_bytes(exif[4:8], order)
    for entry in range(start + 2, start + 2 + 12 * int.from_bytes(exif[start:start + 2], order), 12):
        if int.from_bytes(exif[entry:entry + 2], order) == ORIENTATION:
            turn = int.from_bytes(exif[entry + 8:entry + 10], order)
            return turn if 1 <= turn <= 8 else 1
    return 1


def complaint(data: bytes, heard: list[bytes]) -> str:
    """What is wrong inside a JPEG, '' where libjpeg did not complain and there is no hole.

    `heard`: by `hearing.listening`; what others said goes on to stderr. Zeros or ones before the end are padding, as
    some cameras write it, and no damage.
    """
    if data.find(USUAL, 0, 2**16) >= 0 and data.find(HOLE, data.find(b"\xff\xda")) >= 0:
        return f"a hole of {len(HOLE)} zeros or more"
    for text in heard:
        found = _COMPLAINT.search(text)
        if found is None:
            sys.stderr.write(text.decode(errors="replace"))
            continue
        if extra := _EXTRA.search(found[0]):
            end = data.rfind(b"\xff\xd9")
            if set(data[end - int(extra[1]):end]) in ({0x00}, {0xFF}):
                continue
        return found[0].decode(errors="replace").strip()
    return ""

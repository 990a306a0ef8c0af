"""A miniature of CAS(ME)^3's macro-expressions in both layouts, with their quirks. Every row is invented."""

from raw_releases.books import write_book
from raw_releases.plain import image, write_frames

HEADER = ["sub", "seq", "onset", "apex", "offset", "AU", "emotion"]
NAME = "annotation/cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx"
ROWS = [
    ("spNO.1", "a", 40, 45, 52, "6+12", "happiness"),
    ("spNO.1", "a", 60, 60, 70, "L4", "anger"),  # the same video; apex = onset
    ("spNO.2", "J", 5, 12, 0, 4, "Others"),  # upper-case video, offset 0
    ("spNO.2", "b", 3, 6, 400, 4, "sadness"),  # lasts 13 seconds
    ("spNO.3", "c", 3, 6, 9, 12, None),  # without emotion
]
LENGTHS = [80, 80, 30, 410, 12]


def book(root, header=tuple(HEADER), rows=ROWS, name=NAME):
    write_book(root / name, {"Sheet1": [list(header), *map(list, rows)]})


def clips(root, frame=image):
    """One folder an expression, named with a lower-case o; depth, and micro-expressions of the same name, beside it."""
    for (subject, video, onset, _, offset, *_), length in zip(ROWS, LENGTHS, strict=True):
        name = f"{subject.replace('NO', 'No')}_{video}_{onset}"
        numbers = range(onset, offset + 1) if offset else range(onset, length)
        write_frames(root / "Part_A_MaE_clip/frame" / name, numbers, "{}.jpg", frame)
        write_frames(root / "Part_A_MaE_clip/depth" / name, [onset], "{}.png", frame)
    write_frames(root / "Part_A_ME_clip/frame/spNo.1_a_40", [40], "{}.jpg", frame)


def write_casme3_macro(root, frame=image):
    book(root, rows=ROWS)
    clips(root, frame)


def videos(root, frame=image):
    for (subject, video, *_), length in zip(ROWS, LENGTHS, strict=True):
        for kind, suffix in (("color", "jpg"), ("depth", "png")):
            folder = root / "part_A/data/part_A_split/part_A" / subject / video / kind
            write_frames(folder, range(1, length), "{}." + suffix, frame)

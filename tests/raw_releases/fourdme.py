"""A miniature of 4DME's micro-expressions in its layout, with its quirks. Every row is invented."""

from raw_releases.books import write_book
from raw_releases.plain import image, write_frames

EMOTIONS = ["Positive", "Negative", "Surprise", "Repression", "Others"]
HEADER = ["sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs", *EMOTIONS, "Total", "eye blink", "fold"]
ROWS = [  # subject, folder, emotion, onset, apex, offset, action units, emotions as marked
    ("S90_1st", "001_01_1", "Positive", 482.0, 490.0, 499.0, "6+12(k)", "Positive"),  # frames come as floats
    ("S90_2nd", "003_02_1", "Surprise+Positive", 95, 104, 112, "AU1+2+R12", "Positive+Surprise"),
    ("S91", "002_01_1", "Negative", 30, 36, 41, "L14+17", "Repression"),  # stands in the next row, and
    ("S91", "002_01_2-", "Repression", 60, 66, 71, "AU4(k)+L7", "Negative"),  # the next row's in this one
    ("S92", "004_01_1", "Others", 12, 2490, 24, "45", "Others"),  # apex outside
    ("S91", "005_01_1", "Surprise", 210, 216, 221, "1+2", "Surprise"),
]


def book(root, header=tuple(HEADER), rows=ROWS, name="4DME_Labelling_Micro_release v1.xlsx"):
    cells = []
    for sub, fold, emotion, onset, apex, offset, aus, marked in rows:
        flags = [int(word in marked) for word in EMOTIONS]
        cells.append([sub, fold, emotion, onset, apex, offset, aus, *flags, sum(flags), 0, 1])
    write_book(root / name, {"Sheet1": [list(header), *cells]})


def write_fourdme(root, frame=image):
    """The table beside its extras, raw and cropped frames, and a long gray video of the same people."""
    book(root)
    write_book(root / "4DME_Labelling_Micro_extras_release v1.xlsx", {"Sheet1": [["sub_ID", "self-report emo"]]})
    for sub, fold, _, onset, _, offset, *_ in ROWS:
        for place in ("gray_micro", "gray_micro_crop"):
            write_frames(root / place / sub / fold, range(int(onset), int(offset) + 1),
                         "Frame_{:05d}.jpg", frame)
    write_frames(root / "long_gray_video/S91/1", range(3), "Frame_{:09d}.jpg", frame)

"""A miniature of CASME, the first, in its layout, with its quirks. Every row is invented."""

from raw_releases.books import write_book
from raw_releases.plain import image, write_frames

HEADER = ["Subject", "Filename", None, "OnsetF", "ApexF1", "ApexF2", "OffsetF", None, "AUs", "Emotion"]
ROWS = [  # subject, file, onset, apex, second apex, offset, action units, emotion; frames on disk
    (1, "EP01_5", 98, 101, 103, 106, "4+L10", "disgust", range(98, 107)),  # 98, 101 without padding
    (1, "EP01_6", 8, 12, None, 17, 12, "Happiness", range(8, 18)),
    (2, "EP12_3", 1100, 1104, None, 1110, "14", "tense", range(100, 111)),  # other frames than the folder's
    (2, "EP12_4", 20, 24, None, 90, "4", "repression", range(20, 31)),  # offset too late
    (35, "EP03_1", 5, "/", None, 12, "1+2", "surprise", range(5, 13)),  # no apex
]


def book(root, header=tuple(HEADER), rows=ROWS):
    """Two columns without a header, as in the table."""
    cells = [[row[0], row[1], None, *row[2:6], None, *row[6:8]] for row in rows]
    write_book(root / "casme.xlsx", {"Sheet1": [list(header), *cells]})


def write_casme(root, frame=image):
    """Raw and cropped frames; some subjects' numbers are padded."""
    book(root)
    for subject, file, *_, numbers in ROWS:
        number = "{}" if subject == 1 else "{:04d}"
        place = f"sub{subject:02d}/{file}"
        write_frames(root / "CASME_raw_selected" / place, numbers, f"{file}-{number}.jpg", frame)
        write_frames(root / "Cropped" / place, numbers, f"reg_{file}-{number}.jpg", frame)

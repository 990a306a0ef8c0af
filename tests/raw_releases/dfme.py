"""A miniature of DFME's part for CCAC 2024 in its layout, with its quirks. Every row is invented."""

from raw_releases.books import write_book
from raw_releases.plain import image, write_frames

HEADER = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU"]
SETS = {  # set -> subject, file, onset, apex, offset, emotion, frames per second, action units
    "training": [
        ("sub9001", "sub9001_01", 0, 4, 9, "Happiness", 200, ["6", "12"]),  # from frame 0
        ("sub9001", "sub9001_02", 3, 6, 11, "disgust", 500, [4]),
        ("sub9002", "sub9002_01", 0, 5, 10, "contempt", 300, [])],
    "testA": [("sub9003", "sub9003_01", 2, 5, 9, "anger", 200, ["4", 7, "L14"])],
    "testB": [("sub9004", "sub9004_10", 1, 5, 9, "fear", 500, ["1", "2"])],
}
FOLDERS = {"training": "DFME_train", "testA": "test_data_A/test_data_A", "testB": "test_data_B/test_data_B"}
IDS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")


def book(root, name, file="{}_full_with_AU.xlsx", header=tuple(HEADER)):
    """The table of a set; the action units stand in a column each, of which only the first has a header."""
    rows = [[*row[:6], IDS.index(row[5].lower()) if row[5] else None, row[6], *row[7]] for row in SETS[name]]
    write_book(root / file.format(name), {"Sheet1": [list(header), *rows]})


def write_dfme(root, frame=image, sets=("training", "testA", "testB")):
    """A folder a clip without a subject level, five digits, two of the archives unpacked doubled."""
    for name in sets:
        book(root, name)
        for _, file, *_ in SETS[name]:
            write_frames(root / FOLDERS[name] / file, range(12), "{:05d}.png", frame)

"""A miniature of MMME in its layout, with its quirks. Every row is invented, the people's names too."""

from raw_releases.books import write_book
from raw_releases.plain import image, write_frames

HEADER = ["Subject", "Filename", "Marker", "OnsetTime", "ApexTime", "OffsetTime", "OnsetFrame", "ApexFrame",
          "OffsetFrame", "Action Units", "Estimated Emotion", "Date", "dif"]
ROWS = [  # subject, film, marker, times, frames, action units, emotion, day, frames from onset to apex
    ("ann", "camera_20230718101500.avi", 129, 49.6, 49.65, 49.7,
     "10-15-49-600-30", "10-15-49-650-38", "10-15-49-700-45", "4+7", "angry", 20230718, 8),
    ("ann", "camera_20230718101500.avi", 138, 2, 2.05, 2.05,  # seen until the apex alone; a time without decimals
     "10-16-02-000-2", "10-16-02-050-9", "10-16-02-050-9", "12", "happy", 20230718, 7),
    ("bob", "camera_20230802090000.avi", 107, 28.25, 28.3, 28.35,  # no frame in the cells, dif is milliseconds
     "9-00-28-250", "9-00-28-300", "9-00-28-350", "1+2", "surprise", 20230802, 50),
    ("bob", "camera_20230802090000.avi", 112, 5.0, 5.6, 6.2,  # a macro-expression
     "9-00-05-000-10", "9-00-05-600-20", "9-00-06-200-40", "12", "happy", 20230802, 10),
]
RATES = ("_150", "", "_98", "_147")


def book(root, header=tuple(HEADER), rows=ROWS):
    write_book(root / "coding_file.xlsx", {"Sheet1": [list(header), *map(list, rows)]})


def film_name(row, rate):
    times = "_".join(f"{time:.2f}" for time in row[3:6])
    return f"video_{row[10]}_{row[0]}{row[11]}_{row[2]}_{times}{rate}"


def write_mmme(root, frame=image):
    """A film an expression, as `mer datasets frames` leaves it: numbered from 1."""
    book(root)
    for row, rate in zip(ROWS, RATES, strict=True):
        place = "Macro" if row is ROWS[3] else "Micro"
        write_frames(root / "frames" / place / film_name(row, rate), range(1, 18), "{:05d}.png", frame)


def write_long(root, frame=image):
    """The films that the table names, as frames."""
    book(root)
    for film in {row[1] for row in ROWS}:
        write_frames(root / "frames" / film.removesuffix(".avi"), range(1, 51), "{:05d}.png", frame)

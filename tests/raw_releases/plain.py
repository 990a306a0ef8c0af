"""Writes small datasets in the plain layout (see mer/datasets/readers/plain.py)."""

import csv
import zlib

import cv2
import numpy as np

HEADER = ["clip_id", "subject", "frames", "onset", "apex", "offset", "fps", "label", "aus"]


def image(number):
    """A small gray picture that differs from frame to frame."""
    return np.full((12, 10), (number * 7) % 256, np.uint8)


def write_frames(folder, numbers, name="img{}.jpg", frame=image):
    """Write one picture per number; `frame(i)` gives the picture of the i-th frame, counted from 0. Each folder has a
    mark of its own, as two people never give the same pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = zlib.crc32("/".join(folder.parts[-3:]).encode())
    for i, number in enumerate(numbers):
        picture = frame(i)
        if frame is image:
            picture[:8, :4] = [[16 * (mark >> 4 * row & 15)] * 4 for row in range(8)]
        assert cv2.imwrite(str(folder / name.format(number)), picture)


def row(clip_id="c1", subject="p1", frames=None, onset=8, apex=10, offset=12, fps=100, label="joy", aus="12"):
    return [clip_id, subject, frames or f"video/{clip_id}", onset, apex, offset, fps, label, aus]


def write_table(root, rows, header=HEADER):
    root.mkdir(parents=True, exist_ok=True)
    with open(root / "clips.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def write_plain(root, rows):
    """The table and, for every row, frames 8..12 named without padding, so that sorting by name goes wrong."""
    write_table(root, rows)
    for entry in rows:
        write_frames(root / entry[2], range(8, 13))
    return root

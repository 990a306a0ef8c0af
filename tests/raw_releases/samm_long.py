"""A miniature of SAMM Long Videos in its layout, with its quirks. Every row is invented."""

from raw_releases.books import write_book
from raw_releases.plain import image, write_frames

HEADER = ["Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type", "Action Units",
          "Notes"]
ROWS = [  # subject, expression, onset, apex, offset, type, action units
    (6, "006_1_2", 40.0, 44.0, 49.0, "Micro - 1/2", "4+L7"),
    (6, "006_1_3", 0.0, 61.0, 70.0, "Macro", "12B or 14B"),  # its onset was not seen
    (6, "006_1_4", 72.0, -1.0, 80.0, "Macro", 12),  # nor its apex
    (20, "020_6_5", 9998.0, 10001.0, 10005.0, "Macro", "ref(5)+20C"),  # four and five digits
    (20, "020_6_11", 9990.0, 9993.0, 9996.0, "Micro - 1/2", "4"),  # the same video
    (31, "031_2_1", 5.0, 8.0, None, "Micro - 1/2", "1+2"),  # no offset
]
VIDEOS = {"006_1": range(38, 84), "020_6": range(9988, 10008), "031_2": range(1, 15)}
TABLE = "SAMM_LongVideos_V3_Release.xlsx"


def book(root, name=TABLE, rows=ROWS, notes=9, header=tuple(HEADER)):
    """The header below some rows of notes, text below the last row."""
    cells = [[*row[:2], 3, *row[2:5], 10.0, *row[5:], None] for row in rows]
    above = [[f"line {i} of the notes", None, "/ = or"] for i in range(notes)]
    write_book(root / name, {"FACS_Movement_Only": [*above, list(header), *cells, [], [None] * 9 + ["end"]]})


def emotions(root):
    """SAMM's own table, which has the micro-expressions but for one."""
    header = ["Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration",
              "Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes"]
    rows = [["006", "006_1_2", 3, 40, 44, 49, 10, "Micro - 1/2", "4", "Anger", 3, None],
            ["020", "020_6_11", 3, 9990, 9993, 9996, 7, "Micro - 1/2", "4", "Other", 7, None]]
    above = [["line of the notes"]] * 13
    write_book(root / "SAMM_Micro_FACS_Codes_v2.xlsx", {"MICRO_ONLY": [*above, header, *rows]})


def write_samm_long(root, frame=image):
    """A folder a video, without a subject level."""
    book(root)
    for video, numbers in VIDEOS.items():
        write_frames(root / "SAMM_longvideos" / video, numbers, video + "_{:04d}.jpg", frame)

"""FERV39k: face crops of web videos in 22 scenes, one list for training and one for testing.

    2_ClipsforFaceCrop/Action/Happy/0015/*.jpg           also in parts, 2_ClipsforFaceCrop-001/2_ClipsforFaceCrop/...
    4_setups/All_scenes/train_All.csv, test_All.csv      'Action/Sad/0010 Sad', no header

No persons are named: `subject` is a group of up to a hundred clips of one scene and emotion.
"""

from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.places import find_places
from mer.datasets.rules import Reading, Row, settle
from mer.datasets.tree import find_tables, inside, instead
from mer.datasets.workbook import frame, text_lines

DATASETS = {"ferv39k": "macro"}
SIGNS = r"[23]_clipsfor.*|4_setups"
FPS = 25.0
SCENES = ("Action Argue Business Conflict Contest Crime Crisis DailyLife ElegantArt Experiment History Interview "
          "Liveshow Medicine OfficialEvent ScholarReport School Social Speech Talkshow Terror War").split()


def read(root: Path, *, dataset: str) -> Reading:
    """Read every clip of the two lists, flagged train or test. Raises MerError for missing lists, malformed lines."""
    notes: list[str] = []
    tables = find_tables(root, r"(train|test)_all\.csv")
    if not tables:
        raise MerError(f"{root}: no lists; expected 4_setups/All_scenes/train_All.csv and test_All.csv"
                       + instead(root))
    notes += [f"{split}_All.csv is missing; its clips are not read" for split in ("train", "test")
              if split not in {path.name.lower().split("_")[0] for path in tables}]
    frames = find_places(root, "|".join(SCENES), "2_ClipsforFaceCrop/Action/Happy/0015/*.jpg", notes, levels=3,
                         accept=lambda folder: not any(word in inside(root, folder) for word in ("scen", "setup")))
    rows = []
    for path in tables:
        split = path.name.lower().split("_")[0]
        for number, line in enumerate(text_lines(path), 1):
            if not line.strip():
                continue
            place, _, label = line.strip().partition(" ")
            parts = place.split("/")
            if len(parts) != 3 or not label:
                raise MerError(f"{path}: line {number} is '{line.strip()}', expected 'Action/Sad/0010 Sad'")
            scene, emotion, clip = parts
            group = "" if (among := frame(clip)) is None else f"-{among // 100:02d}"
            rows.append(Row("-".join(parts), f"{scene}-{emotion}{group}", frames.find(*parts), None, None, None,
                            label.strip(), whole=True, flags=(split, "subject_unknown", "fps_nominal"),
                            looked_for=frames.looked_for(place)))
    clips, excluded = settle(rows, root=root, dataset=dataset, release="all-scenes", fps=FPS)
    files = tuple(path.relative_to(root).as_posix() for path in tables)
    return Reading("all-scenes", tuple(clips), tuple(excluded), files, tuple(notes))

"""DFEW: film clips, most of them single-labelled, as aligned 224x224 faces, five folds.

    Clip/clip_224x224/00001/00001_00001.jpg       (clip_224x224_16f, resampled to 16 frames, only when this is missing)
    Clip/clip_224x224/clip_224x224_part_1/00001/00001_00001.jpg, ... clip_224x224_part_11/...
    EmoLabel_DataSplit/{train,test}(single-labeled)/set_1.csv ... set_5.csv      video_name,label

`video_name` is an unpadded number, labels 1..7 are in the order of LABELS. No persons are named: `subject` is a group
of a hundred clips.
"""

import re
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.clips import read_csv
from mer.datasets.places import find_places
from mer.datasets.rules import UNLABELLED, Reading, Row, settle
from mer.datasets.tree import find_tables, instead
from mer.datasets.workbook import frame

DATASETS = {"dfew": "macro"}
SIGNS = r"clip_224x224.*|emolabel_datasplit"
FPS = 25.0
LABELS = ("Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear")


def read(root: Path, *, dataset: str) -> Reading:
    """Read every clip; one that the split files name has a label, its fold is flagged test1 ... test5. Raises MerError.

    The others have several labels, or none that enough of the annotators chose.
    """
    notes: list[str] = []
    tables = [path for path in find_tables(root, r"set_[1-5]\.csv") if _part(path)]
    if not tables:
        raise MerError(f"{root}: no split files; expected EmoLabel_DataSplit/train(single-labeled)/set_1.csv and so on"
                       + instead(root))
    missing = sorted({f"{part} set_{fold}" for part in ("train", "test") for fold in range(1, 6)}
                     - {f"{_part(path)} {path.stem.lower()}" for path in tables})
    if missing:
        notes.append(f"split files are missing: {', '.join(missing)}")
    frames = find_places(root, r"\d{5}", "Clip/clip_224x224/00001/00001_00001.jpg", notes, levels=1, last=("16f",))
    labels: dict[int, str] = {}
    folds: dict[int, set[str]] = {}
    for path in tables:
        for line, row in read_csv(path, ("video_name", "label")):
            number = frame(row["video_name"])
            if number is None or row["label"] not in "1234567" or len(row["label"]) != 1:
                raise MerError(f"{path}: row {line} is {row['video_name']},{row['label']}; expected a clip number and "
                               "a label from 1 to 7")
            clip, label = number, LABELS[int(row["label"]) - 1]
            if labels.setdefault(clip, label) != label:
                raise MerError(f"{path}: row {line}: clip {clip} is {label} here, {labels[clip]} in another split file")
            if _part(path) == "test":
                folds.setdefault(clip, set()).add(f"test{path.stem[-1]}")
    every = {int(name): UNLABELLED for name, in frames.folders if re.fullmatch(r"\d{5}", name)} | labels
    rows = [Row(f"{clip:05d}", f"part{clip // 100:03d}", frames.find(f"{clip:05d}"), None, None, None, label,
                whole=True, flags=("subject_unknown", "fps_nominal", *sorted(folds.get(clip, ()))),
                looked_for=frames.looked_for(f"{clip:05d}")) for clip, label in sorted(every.items())]
    clips, excluded = settle(rows, root=root, dataset=dataset, release="single-labeled", fps=FPS)
    files = tuple(path.relative_to(root).as_posix() for path in tables)
    return Reading("single-labeled", tuple(clips), tuple(excluded), files, tuple(notes))


def _part(path: Path) -> str:
    """'train' or 'test' from the name of the split file's folder, '' for another file."""
    return next((part for part in ("train", "test") if path.parent.name.lower().startswith(part)), "")

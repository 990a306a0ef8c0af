"""AFEW (EmotiW): aligned faces of film clips; the label is the emotion folder that holds the clip's video.

    Train_AFEW/Angry/013736360.avi, Val_AFEW/...                                      (or Train/, Val/)
    Train_AFEW/AlignedFaces_LBPTOP_Points/Faces/013736360/*.jpg                       no emotion level, or
    Train_AFEW/AlignedFaces_LBPTOP_Points/AlignedFaces_LBPTOP_Points/Angry/013736360/*.jpg

The test part, Test_AFEW, has no labels: its videos and faces lie without a level of emotions. No persons are named:
`subject` is a split's emotion.
"""

from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.places import merged, undoubled
from mer.datasets.rules import UNLABELLED, Reading, Row, settle
from mer.datasets.tree import holders, inside, instead, subfolders, video_files

DATASETS = {"afew": "macro"}
SIGNS = r"(train|val)_afew|alignedfaces_lbptop_points.*"
FPS = 25.0
EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
SPLITS = {"train": "train", "train_afew": "train", "val": "validation", "val_afew": "validation",
          "test": "test", "test_afew": "test"}


def read(root: Path, *, dataset: str) -> Reading:
    """Read all parts. Raises MerError when no labelled one is found, or no aligned faces are."""
    parts = {SPLITS[name]: undoubled(path) for holder in holders(root, "|".join(SPLITS))
             for name, path in subfolders(holder).items() if name in SPLITS}
    notes: list[str] = []
    rows, aligned = [], 0
    for split, folder in sorted(parts.items()):
        faces = _faces(folder, notes)
        aligned += len(faces) if split != "test" else 0
        labels = _labels(folder, faces) if split != "test" else dict.fromkeys(
            [*(path.stem.lower() for path in video_files(folder)), *(clip for clip, in faces)], UNLABELLED)
        for clip, emotion in sorted(labels.items()):
            rows.append(Row(f"{split}-{clip}", f"{split}-{emotion}", faces.get((clip,)), None, None, None, emotion,
                            whole=True, flags=(split, "subject_unknown", "fps_nominal"),
                            looked_for=f"{inside(root, folder)}/AlignedFaces_LBPTOP_Points/Faces/{clip}"))
    if all(row.label == UNLABELLED for row in rows):
        raise MerError(f"{root}: no clips found in the layout Train_AFEW/Angry/013736360.avi{instead(root)}")
    if not aligned:
        raise MerError(f"{root}: only videos found; unpack AlignedFaces_LBPTOP_Points.zip inside Train_AFEW and its "
                       "like inside Val_AFEW, or extract frames into the layout "
                       "Train_AFEW/AlignedFaces_LBPTOP_Points/Faces/013736360/*.jpg")
    clips, excluded = settle(rows, root=root, dataset=dataset, release="train+val", fps=FPS)
    return Reading("train+val", tuple(clips), tuple(excluded), (), tuple(notes))


def _labels(part: Path, faces: dict[tuple[str, ...], Path]) -> dict[str, str]:
    """Clip -> emotion, from the videos, and from aligned faces that have an emotion level."""
    labels = {path.stem.lower(): path.parent.name.lower() for path in video_files(part)
              if path.parent.name.lower() in EMOTIONS}
    for (clip,), path in faces.items():
        if path.parent.name.lower() in EMOTIONS:
            labels[clip] = path.parent.name.lower()
    return labels


def _faces(part: Path, notes: list[str]) -> dict[tuple[str, ...], Path]:
    """(Clip,) -> folder of its aligned faces, below .../Faces/ or .../<Emotion>/."""
    levels = ("faces", *EMOTIONS)
    return merged(part, (((clip,), path)
                         for name, archive in subfolders(part).items() if name.startswith("alignedfaces")
                         for holder in holders(archive, "|".join(levels))
                         for level, folder in subfolders(holder).items() if level in levels
                         for clip, path in subfolders(folder).items()), notes)

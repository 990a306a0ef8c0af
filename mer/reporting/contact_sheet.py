"""Contact sheets of the synthetic releases: every subject, and onset, apex and true flow of each expression."""

import csv
from pathlib import Path

import cv2
import matplotlib.image
import numpy as np

from mer.base import store
from mer.labels.head_motion import without_head_motion
from mer.reporting.flow_colours import flow_colours

CAPTION = 18  # px


def flow_picture(flow: np.ndarray, full: float) -> np.ndarray:
    """Flow (2, H, W) in px as a picture (H, W, 3) BGR uint8, full colour at `full` px."""
    return np.uint8(np.rint(255 * flow_colours(flow, full)))[..., ::-1]


def read_rows(root: Path) -> list[dict[str, str]]:
    """The rows of `<root>/clips.csv` by column, all cells text."""
    with open(root / "clips.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def captioned(picture: np.ndarray, text: str) -> np.ndarray:
    """A picture (h, w, 3) uint8 below a white strip of CAPTION pixels with `text`."""
    strip = np.full((CAPTION, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, text, (4, CAPTION - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([strip, picture])


def tiled(pictures: list[np.ndarray], columns: int) -> np.ndarray:
    """Pictures of equal size in rows of `columns`, the rest white."""
    blank = np.full_like(pictures[0], 255)
    filled = pictures + [blank] * (-len(pictures) % columns)
    return np.vstack([np.hstack(filled[k : k + columns]) for k in range(0, len(filled), columns)])


def subjects_sheet(roots: dict[str, Path]) -> np.ndarray:
    """The first frame of the first clip of every subject of the named releases."""
    pictures = []
    for name, root in roots.items():
        first = {row["subject"]: row for row in reversed(read_rows(root))}
        for subject in sorted(first):
            picture = cv2.imread(str(root / first[subject]["frames"] / "img1.jpg"))
            small = cv2.resize(picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
            pictures.append(captioned(small, f"{name} {subject}"))
    return tiled(pictures, 6)


def expressions_sheet(root: Path) -> np.ndarray:
    """Onset, apex and the true flow between them, less head motion, of one clip per class (each of another subject)."""
    rows = read_rows(root)
    names = sorted({row["subject"] for row in rows})
    chosen, flows = [], []
    for k, label in enumerate(sorted({row["label"] for row in rows})):
        row = next(r for r in rows if r["label"] == label and r["subject"] == names[k % len(names)])
        truth = store.read_shard(root / "truth" / f"{row['subject']}.h5", ("flow",))[0][row["clip_id"]]
        chosen.append(row)
        flows.append(without_head_motion(truth["flow"]))
    peaks = [float(np.hypot(*flow).max()) for flow in flows]
    full = max(np.median(peaks), 0.5)
    pictures = []
    for row, flow, peak in zip(chosen, flows, peaks, strict=True):
        units = f" AU {row['aus']}" if row["aus"] else ""
        for name in ("onset", "apex"):
            picture = cv2.imread(str(root / row["frames"] / f"img{row[name]}.jpg"))
            pictures.append(captioned(picture, f"{row['subject']} {row['label']}{units}: {name}"))
        pictures.append(captioned(flow_picture(flow, full), f"true flow, peak {peak:.1f} px"))
    return tiled(pictures, 6)


def save(picture: np.ndarray, path: Path, title: str, description: str) -> None:
    """Write a BGR picture as PNG with its caption inside, where the report page finds it."""
    with store.atomic(path) as temporary:
        matplotlib.image.imsave(temporary, picture[..., ::-1], format="png",
                                metadata={"Title": title, "Description": description, "Software": None})


def write(roots: dict[str, Path], out: Path) -> None:
    """Write `subjects.png` and one sheet of expressions per named release (`micro.png`, `macro.png`) into `out`.

    A release without clips is left out.
    """
    roots = {name: root for name, root in roots.items() if read_rows(root)}
    save(subjects_sheet(roots), out / "subjects.png", "Subjects (synthetic data)",
         "First frame of each subject: procedural faces, no person.")
    for name, root in roots.items():
        save(expressions_sheet(root), out / f"{name}.png", f"Expressions of the {name} release (synthetic data)",
             "Onset, apex and the true flow between them without head motion; hue: direction, depth of colour: length.")

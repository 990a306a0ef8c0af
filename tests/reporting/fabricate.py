"""A finished run made of invented numbers: what train, align, flow and index leave behind, small, in a folder."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np

from mer import store
from mer.evaluation import predictions

NAMES = ("happiness", "disgust", "surprise")
ROOT = Path(__file__).parents[2]


def table(subjects=5, per_class=2, seeds=(0,), selections=("last", "oracle"), skill=2.0, classes=3, dataset="synthetic",
          seed=0, aux=True):
    """An invented prediction table; `skill` 0 guesses."""
    rng = np.random.default_rng(seed)
    parts = []
    for k in seeds:
        for rule in selections:
            for s in range(subjects):
                labels = np.repeat(np.arange(classes), per_class)
                logits = rng.normal(size=(len(labels), classes)) + skill * np.eye(classes)[labels]
                p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                name = f"{dataset}/s{s + 1:02d}"
                extra = {key: abs(rng.normal(level, level / 5, len(labels))) for key, level in
                         (("epe", 0.3), ("epe_zero", 0.35), ("nme", 0.05), ("nme_mean_face", 0.06), ("failures", 0.1))}
                parts.append(predictions.table([f"s{s + 1:02d}_c{i:02d}" for i in range(len(labels))],
                                               [name] * len(labels), name, k, rule, labels, p,
                                               extra if aux and rule == "last" else None))
    return predictions.concat(parts)


def face(rng, size=144):
    """A blurred disc with eyes and a mouth, (size, size) float64 grey levels: enough to see a warp."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    image = 60.0 + 120 * (np.hypot(x / 0.8, y) < 0.42)
    for cx, cy, r in ((-0.15, -0.1, 0.05), (0.15, -0.1, 0.05), (0, 0.2, 0.08)):
        image -= 80 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * r * r * 0.5))
    return image + rng.normal(0, 3, (size, size))


def run_folder(root: Path, t=None, frames=12, steps=6, flow=True) -> Path:
    """Write params.yaml and data/ below `root`; with flow=False as a model without that task leaves it."""
    rng = np.random.default_rng(1)
    t = table() if t is None else t
    shutil.copy(ROOT / "params.yaml", root / "params.yaml")
    for seed in sorted(set(t.seed.tolist())):
        for subject in sorted(set(t.subject.tolist())):
            mine = t.rows((t.seed == seed) & (t.subject == subject))
            out = root / "data/folds" / str(seed) / subject.replace("/", "_")
            predictions.write(out / "predictions.csv", mine)
            losses = np.exp(-np.arange(steps)[:, None] / 3) * (1.1, 0.2, 2.5, 3) + rng.uniform(0, 0.1, (steps, 4))
            store.write_csv(out / "log.csv", ["step", "mer", "flow", "landmark", "total"],
                            [[i + 1, *map(float, row)] for i, row in enumerate(losses)])
            clips = sorted(set(mine.clip_id.tolist()))
            y, x = np.mgrid[:144, :144] / 144 - 0.5
            points = 72 + 40 * rng.normal(0, 0.6, (68, 2))
            aligned, outputs = {}, {}
            for clip in clips:
                image = face(rng)
                bump = 1.5 * np.exp(-(x**2 + (y - 0.2) ** 2) / 0.02)
                field = np.stack([0.3 * bump, -bump]).astype(np.float16)
                aligned[clip] = {"frames": np.clip(np.stack([np.roll(image, i // 4, 0) for i in range(frames)]), 0, 255)
                                 .astype(np.uint8), "points": np.repeat(points[None], frames, 0).astype(np.float32),
                                 "matrix": np.eye(2, 3), "numbers": np.arange(1, frames + 1, dtype=np.int32),
                                 "annotation": np.array([1, frames // 2, frames], np.int32)}
                label = np.stack([field, field * 2])[:, :, 8:136, 8:136]
                outputs[clip] = {
                    "flow": (label * 0.7).astype(np.float16), "flow_label": label,
                    "pair": np.array([1, 3], np.int32),
                    "landmarks": (np.repeat(points[None], 7, 0) - 8 + rng.normal(0, 1, (7, 68, 2))).astype(np.float32)}
            if not flow:
                outputs = {name: {"landmarks": arrays["landmarks"]} for name, arrays in outputs.items()}
            store.write_shard(out / "outputs.h5", outputs, {})
            name = subject.split("/")[1] + ".h5"
            store.write_shard(root / "data/aligned/synthetic" / name, aligned, {})
    store.write_json(root / "data/folds/summary.json", {
        "model": "mol", "datasets": ["synthetic"], "classes": "3", "class_names": list(NAMES), "protocol": "loso",
        "profile": "demo", "seeds": sorted(set(t.seed.tolist())), "selection": ["last", "oracle"],
        "clips": len(set(t.clip_id.tolist())), "subjects": sorted(set(t.subject.tolist())),
        "pretrained_on": ["synthetic_macro"], "crop": 128, "shuffle_labels": False})
    once = t.where(t.selection[0], int(t.seed[0]))
    guesses = rng.dirichlet([1] * t.classes, len(once))
    predictions.write(root / "data/folds/zero_shot.csv", predictions.table(
        once.clip_id, once.subject, "pretrained", 0, "zero_shot", once.label, guesses))
    return root


def set_params(root: Path, **changes: str) -> None:
    """Rewrite top-level lines of params.yaml, as text, keeping everything else."""
    path = root / "params.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    for key, value in changes.items():
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{key}:"))
        lines[at] = f"{key}: {value}"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def rows(path: Path) -> list[dict]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def load(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))

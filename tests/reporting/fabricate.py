"""A finished run made of invented numbers: what train, align, flow and index leave behind, small, in a folder."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np

from mer.base import environment, store
from mer.evaluation import predictions

NAMES = ("happiness", "disgust", "surprise")
ROOT = Path(__file__).parents[2]


AUX = {"mol": (("epe", 0.3), ("epe_zero", 0.35), ("nme", 0.05), ("nme_mean_face", 0.06), ("failures", 0.1)),
       "fdp": (("mse", 0.006), ("mse_mean_image", 0.008), ("mse_pattern", 0.003),
               ("mse_pattern_mean_image", 0.004), ("dynamic_corr", 0.3), ("dynamic_corr_mean_image", 0.1),
               ("rank_correlation", 0.6)), "ma2mi": ()}
LOSSES = {"mol": {"mer": 1.1, "flow": 0.2, "landmark": 2.5}, "fdp": {"mer": 1.1, "dynamic": 0.02, "rank": 8.0},
          "ma2mi": {"mer": 1.1}}
SIZE = {"mol": (144, 128), "fdp": (72, 64), "ma2mi": (72, 64)}  # sides of the aligned and of the network's crop
T = 8
DIAGNOSTICS = {"reconstruction": 0.21, "copy": 0.25, "shuffled_c": 0.24, "shuffled_action": 0.23,
               "shuffled_position": 0.211,
               "autoencoder_grey_error": 6.5, "autoencoder_grey_error_mean_picture": 21.0}


def table(subjects=5, per_class=2, seeds=(0,), selections=("last", "oracle"), skill=2.0, classes=3, dataset="synthetic",
          seed=0, aux=True, model="mol"):
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
                extra = {key: abs(rng.normal(level, level / 5, len(labels))) for key, level in AUX[model]}
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


def bump(size: int, x=0.0, y=0.2, width=0.02) -> np.ndarray:
    """A round hill (size, size) of height 1 at x, y from the middle, in fractions of the side."""
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / width)


def run_folder(root: Path, t=None, frames=12, steps=6, flow=True, model="mol") -> Path:
    """Write params.yaml and data/ below `root`; with flow=False as a MOL without that task leaves it."""
    rng = np.random.default_rng(1)
    t = table(model=model) if t is None else t
    shutil.copy(ROOT / "params.yaml", root / "params.yaml")
    set_params(root, model=model)
    for seed in sorted(set(t.seed.tolist())):
        for subject in sorted(set(t.subject.tolist())):
            mine = t.rows((t.seed == seed) & (t.subject == subject))
            out = root / "data/folds" / str(seed) / subject.replace("/", "_")
            predictions.write(out / "predictions.csv", mine)
            write_log(out / "log.csv", LOSSES[model], steps, rng)
            if model == "mol" and flow and steps:
                norms = [[step, *np.linspace(0.1, 1, len(LOSSES[model])).tolist()] for step in (1, 26)]
                store.write_csv(out / "gradients.csv", ["step", *LOSSES[model]], norms)
            clips = sorted(set(mine.clip_id.tolist()))
            points = (0.5 + 0.28 * rng.normal(0, 0.6, (68, 2))) * SIZE[model][0]
            name = subject.split("/")[1] + ".h5"
            store.write_shard(root / "data/aligned/synthetic" / name,
                              {clip: _aligned(rng, points, frames, SIZE[model][0]) for clip in clips}, {})
            outputs = {clip: _outputs(model, rng, points) for clip in clips}
            if not flow:
                outputs = {name: {"landmarks": arrays["landmarks"]} for name, arrays in outputs.items()}
            store.write_shard(out / "outputs.h5", outputs, {})
            store.write_shard(root / "data/raw/synthetic/truth" / name,
                              {clip: _truth(SIZE[model][0]) for clip in clips}, {})
    store.write_json(root / "data/folds/summary.json", {
        "model": model, "datasets": ["synthetic"], "classes": "3", "class_names": list(NAMES), "protocol": "loso",
        "profile": "demo", "seeds": sorted(set(t.seed.tolist())), "selection": ["last", "oracle"],
        "list": "0" * 64, "clips": len(set(t.clip_id.tolist())), "subjects": sorted(set(t.subject.tolist())),
        "pretrained_on": ["synthetic_macro"], "steps": [steps, steps], "crop": SIZE[model][1], "shuffle_labels": False,
        "made_with": environment.made_with("train", "", {"made_with": environment.made_with("align", "synthetic")})})
    once = t.where(t.selection[0], int(t.seed[0]))
    guesses = rng.dirichlet([1] * t.classes, len(once))
    predictions.write(root / "data/folds/zero_shot.csv", predictions.table(
        once.clip_id, once.subject, "pretrained", 0, "zero_shot", once.label, guesses))
    numbers = {f"loss_{name}": value for name, value in LOSSES[model].items()} if steps else {}
    store.write_json(root / "data/pretrained/summary.json", {"numbers": {
        "steps": steps, **numbers, **(DIAGNOSTICS if model == "ma2mi" else {})}})
    return root


def write_log(path: Path, losses: dict[str, float], steps: int, rng) -> None:
    starts = [*losses.values(), sum(losses.values())]
    values = (np.exp(-np.arange(steps)[:, None] / 3) + rng.uniform(0, 0.1, (steps, 1))) * starts
    store.write_csv(path, ["step", *losses, "total"], [[i + 1, *map(float, row)] for i, row in enumerate(values)])


def _aligned(rng, points, frames: int, size: int) -> dict:
    image = face(rng, size)
    return {"frames": np.clip(np.stack([np.roll(image, i // 4, 0) for i in range(frames)]), 0, 255).astype(np.uint8),
            "points": np.repeat(points[None], frames, 0).astype(np.float32), "matrix": np.eye(2, 3),
            "numbers": np.arange(1, frames + 1, dtype=np.int32),
            "annotation": np.array([1, frames // 2, frames], np.int32)}


def _outputs(model: str, rng, points) -> dict:
    """What the model's task keeps of one clip."""
    size, crop = SIZE[model]
    inside = slice((size - crop) // 2, (size + crop) // 2)
    if model == "ma2mi":  # the heat lies near what moves, on some clips beside it
        return {"grad_cam": bump(size, x=rng.normal(0, 0.15), width=0.05)[inside, inside].astype(np.float16)}
    if model == "fdp":
        truth = 0.5 + 0.4 * bump(size)[inside, inside] + rng.normal(0, 0.02, (crop, crop))
        return {"dynamic_label": truth.clip(0, 1).astype(np.float16), "scores": rng.normal(0.8 * np.arange(T), 0.8)
                .astype(np.float32), "dynamic": (0.5 + 0.7 * (truth - 0.5)).clip(0, 1).astype(np.float16)}
    hill = 1.5 * bump(size)
    field = np.stack([0.3 * hill, -hill]).astype(np.float16)
    label = np.stack([field, field * 2])[:, :, inside, inside]
    return {"flow": (label * 0.7).astype(np.float16), "flow_label": label, "pair": np.array([1, 3], np.int32),
            "landmarks": (np.repeat(points[None], 7, 0) - 8 + rng.normal(0, 1, (7, 68, 2))).astype(np.float32)}


def _truth(size: int) -> dict:
    """The true flow of a head that moves as a whole, and a hill that moves by 2 px more; no pixel is unsure."""
    hill = 2.0 * (bump(size) > 0.5)
    return {"flow": np.stack([np.full((size, size), 1.5), 0.5 + hill]).astype(np.float16),
            "eye_mask": np.zeros((size, size), np.uint8)}


def pretrained(folder: Path, reconstruction=True, side=64, pixels=False) -> Path:
    """The scratch folder of one seed's pretraining: log.csv and, of MA2MI's reconstruction, examples.h5."""
    rng = np.random.default_rng(2)
    losses = {"reconstruction": 0.8, "diversity": 0.3} if reconstruction else LOSSES["mol"]
    write_log(folder / "log.csv", losses, 20, rng)
    if reconstruction:
        made = {}
        for number in ("1", "2", "3"):
            start = face(rng, side).clip(0, 255) / 255
            later = np.roll(start, 1, 0)
            shown = {"first": start, "second": later, "start": start, "truth": later if pixels else 0.9 * later,
                     "estimate": 0.5 * start + 0.4 * later}
            made[number] = {name: value.astype(np.float16) for name, value in shown.items()}
            made[number] |= {"clip": np.bytes_(b"m01_happiness_1"), "subject": np.bytes_(b"synthetic_macro/m01"),
                             "error": np.float32(0.2), "copy": np.float32(0.3)}
        store.write_shard(folder / "examples.h5", made, {})
    return folder


def set_params(root: Path, **changes: str) -> None:
    """Rewrite top-level lines of params.yaml, as text, keeping everything else."""
    path = root / "params.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    for key, value in changes.items():
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{key}:"))
        lines[at] = f"{key}: {value}"
        while re.match(" *(#|- )", lines[at + 1]):  # the items that it had, and the rest of its comment
            del lines[at + 1]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def rows(path: Path) -> list[dict]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def load(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))

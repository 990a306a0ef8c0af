"""Pictures of label quality: detector scores and landmark errors, flow by class, onset - apex - flow examples."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from mer.base import store
from mer.labels.points68 import PARTS
from mer.labels.quality import Quality
from mer.reporting.flow_colours import flow_colours, wheel


def draw(quality: Quality, folder: Path, title: str) -> list[Path]:
    """Write the dataset's PNG files into `folder` and return their paths; `title` heads each of them."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [_landmarks(quality, title)]
    names = ["landmarks"]
    if quality.magnitude:
        drawn.append(_magnitude(quality, title))
        names.append("flow_magnitude")
    if quality.examples:
        drawn.append(_examples(quality, title))
        names.append("flow_examples")
    paths = [folder / f"{name}.png" for name in names]
    for figure, path in zip(drawn, paths, strict=True):
        # no creation date or version in the file, so that the same labels give the same bytes
        with store.atomic(path) as temporary:
            figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})
        plt.close(figure)
    return paths


def _landmarks(quality: Quality, title: str):
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    left.hist(quality.scores, bins=40, color="0.4")
    left.axvline(0, color="tab:red", lw=1)
    left.set(xlabel="detector's score (found above 0)", ylabel="frames", title="Face detection")
    if quality.errors is None:
        values = quality.jitter[np.isfinite(quality.jitter)]
        right.hist(values, bins=30, color="0.4")
        right.set(xlabel="landmark jitter, raw pixels", ylabel="clips", title="Jitter from frame to frame")
    else:
        bins = np.linspace(0, max(float(np.percentile(quality.errors, 99.5)), 0.1), 60)
        for part, points in PARTS.items():
            right.hist(quality.errors[:, points].mean(1), bins=bins, histtype="step", label=part, lw=1.4)
        right.legend(frameon=False)
        right.set(xlabel="error / inter-ocular distance", ylabel="frames", title="Landmarks against the truth")
    figure.suptitle(title)
    return figure


def _magnitude(quality: Quality, title: str):
    names = sorted(quality.magnitude)
    figure, axes = plt.subplots(figsize=(1.6 + 1.1 * len(names), 3.6), layout="constrained")
    axes.boxplot([quality.magnitude[name] for name in names], tick_labels=names)
    axes.set(ylabel="mean |flow| between sampled frames, px", title=title)
    axes.tick_params(axis="x", rotation=20)
    return figure


def _examples(quality: Quality, title: str, rows: int = 4):
    by_label: dict[str, dict] = {}  # one example of each raw label first, then whatever comes
    for example in quality.examples:
        by_label.setdefault(example["label"], example)
    shown = [*by_label.values(), *(e for e in quality.examples if e is not by_label[e["label"]])][:rows]
    columns = 3 + any("truth" in example for example in shown)
    figure, axes = plt.subplots(len(shown), columns, figsize=(2.3 * columns, 2.4 * len(shown)), squeeze=False,
                                layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for line, example in zip(axes, shown, strict=True):
        top = max(float(np.percentile(np.hypot(*example["flow"]), 99)), 0.5)
        line[0].imshow(example["onset"], cmap="gray", vmin=0, vmax=255)
        line[0].set_title(f"{example['clip_id']}: onset", fontsize=7)
        line[1].imshow(example["apex"], cmap="gray", vmin=0, vmax=255)
        line[1].set_title(f"apex ({example['label']})", fontsize=7)
        line[2].imshow(flow_colours(example["flow"], top))
        line[2].set_title("TV-L1", fontsize=7)
        wheel(line[2], top)
        if "truth" in example:
            line[3].imshow(flow_colours(example["truth"] * example["valid"], top))
            line[3].set_title(f"truth; EPE {example['epe']:.2f} (zero {example['epe_zero']:.2f})", fontsize=7)
    figure.suptitle(title)
    return figure

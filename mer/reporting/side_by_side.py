"""The same clips in several runs: a row a clip and a column a run, drawn from what each run's folds keep of it.

As MOL's Fig. 5 and 6 and FDP's Fig. 4 and Table 15 show them. The first run chooses the clips; `read` and `write` keep
the list. What is drawn of a clip is the model's own: `across` in its pictures.py. No network is run.
"""

import importlib
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer.base import store
from mer.base.errors import MerError
from mer.datasets.clips import read_csv
from mer.evaluation import outputs
from mer.evaluation.predictions import Predictions
from mer.reporting import comparison, pictures, plots
from mer.reporting.comparison import Comparison, Experiment
from mer.reporting.pictures import Column, Look

COUNT, PAIRS = 3, 2  # clips by the model's error; subjects of whom a right and a wrong clip of one class are drawn
COLUMNS = ("subject", "clip_id", "why")
CELL = 1.3  # inches
SAME = ("align.", "sampling.t", "sampling.span", "sampling.seed", "train.crop")  # what decides the frames
LINES, LONG = 3, 26  # of a heading over a column
WRAPPED = 16  # letters of the words in an empty place


@dataclass(frozen=True)
class Chosen:
    """A clip of the list, and why it is there."""

    subject: str
    clip_id: str
    why: str


def choose(first: Experiment) -> list[Chosen]:
    """Best, median and worst clip by the model's error, then right and wrong clips of one class of one subject, where
    the network is surest of the one and least of the other: no fair sample, and a list may be written by hand."""
    t, by = tested(first), getattr(_drawing(first), "BY", {})
    right = t.p[np.arange(len(t)), t.label]
    key = next((name for name in by if np.isfinite(t.aux[name]).all()), None)
    badness, words = (-right, "true class") if key is None else (t.aux[key], by[key])
    found = [(row, f"{rank} by {words}") for _, row, rank in pictures.ranked(t, badness, COUNT)]
    gaps = []
    for subject, label in sorted(set(zip(t.subject.tolist(), t.label.tolist(), strict=True))):
        mine = (t.subject == subject) & (t.label == label)
        good, bad = (np.flatnonzero(mine & same) for same in (t.predicted == t.label, t.predicted != t.label))
        if len(good) and len(bad):
            best, worst = good[right[good].argmax()], bad[right[bad].argmin()]
            gaps.append((right[worst] - right[best], subject, best, worst))
    seen: set[str] = set()
    for _, subject, best, worst in sorted(gaps):
        if subject not in seen and len(seen) < PAIRS:
            seen.add(subject)
            found += [(t.rows(np.array([best])), f"right, of {subject}"), (t.rows(np.array([worst])),
                                                                           f"wrong, of {subject}")]
    why: dict[tuple[str, str], list[str]] = {}
    for row, words in found:
        why.setdefault((str(row.subject[0]), str(row.clip_id[0])), []).append(words)
    return [Chosen(*clip, "; ".join(words)) for clip, words in why.items()]


def read(path: Path) -> list[Chosen]:
    """The clips of a list, a CSV table with columns subject and clip_id, in its order.

    Raises:
        MerError: no such table, no row in it, or a clip that stands there twice.
    """
    rows = [Chosen(row["subject"], row["clip_id"], row.get("why", "")) for _, row in read_csv(path, COLUMNS[:2])]
    if not rows:
        raise MerError(f"{path}: no row below the header; expected one a clip, or no such file, so that it is made")
    for place, one in enumerate(rows, 1):
        if any((one.subject, one.clip_id) == (other.subject, other.clip_id) for other in rows[:place - 1]):
            raise MerError(f"{path}: row {place}: clip {one.clip_id} of {one.subject} stands twice; expected once")
    return rows


def write(path: Path, clips: list[Chosen]) -> None:
    """The list, for a later call."""
    store.write_csv(path, COLUMNS, [[one.subject, one.clip_id, one.why] for one in clips])


def tested(e: Experiment) -> Predictions:
    """What its networks said after the last step, whose estimates the folds keep; of its first seed."""
    last = e.run.predictions.where("last")
    return last.where(seed=int(last.seed.min()))


def draw(c: Comparison, clips: list[Chosen], folder: Path) -> Iterator[Path]:
    """A picture for each clip, in the list's order.

    Raises:
        MerError: the experiments are of several models, saw other frames or lack a clip, or the model's pictures.py
            draws nothing across runs; or what an experiment's folds kept is not there.
    """
    _check(c)
    tables = [tested(e) for e in c.experiments]
    rows = [[_row(e, t, one) for e, t in zip(c.experiments, tables, strict=True)] for one in clips]
    with tempfile.TemporaryDirectory() as kept:
        data = [fetched(e, [these[i] for these in rows], Path(kept) / e.letter) for i, e in enumerate(c.experiments)]
        for number, (one, these) in enumerate(zip(clips, rows, strict=True), 1):
            looks = [_look(e, row, where) for e, row, where in zip(c.experiments, these, data, strict=True)]
            path = folder / f"same_clip_{number}.png"
            _draw(c, one, looks, path)
            yield path


def fetched(e: Experiment, rows: list[Predictions], folder: Path) -> Path:
    """A data folder that holds what is drawn of these rows: the run's own; of a revision `folder`, to which it is
    written from DVC's cache, so that nothing is checked out."""
    run = e.run
    if run.folder is not None:
        return run.data or run.folder / "data"
    for path in dict.fromkeys(path for row in rows for path in (
            outputs.place(int(row.seed[0]), str(row.fold[0])), outputs.frames_place(str(row.subject[0])))):
        store.write_bytes(folder / path, run.source.content(f"data/{path}"))
    return folder


def _drawing(e: Experiment):
    return importlib.import_module(f"mer.models.{e.parameters['model']}.pictures")


def _check(c: Comparison) -> None:
    first, *others = c.experiments
    if not hasattr(_drawing(first), "across"):
        raise MerError(f"compare: --clips: nothing that model {first.parameters['model']} draws of a clip differs "
                       "between runs; leave --clips out")
    for other in others:
        for key in ("model", *(key for key in first.parameters if key.startswith(SAME))):
            values = [comparison.shown(e.parameters.get(key)) for e in (first, other)]
            if values[0] != values[1]:
                raise MerError(f"compare: --clips: {key} = {values[0]} in {first.label}, {values[1]} in {other.label}; "
                               "expected runs of one model that saw the same frames")


def _row(e: Experiment, t: Predictions, one: Chosen) -> Predictions:
    found = t.rows((t.subject == one.subject) & (t.clip_id == one.clip_id))
    if not len(found):
        raise MerError(f"compare: --clips: {e.label} has not tested clip {one.clip_id} of {one.subject} "
                       f"({len(t)} clips of {len(set(t.subject.tolist()))} subjects); expected runs that tested it, or "
                       "a list without it")
    return found


def _look(e: Experiment, row: Predictions, data: Path) -> Look:
    sampling = {key: e.parameters[f"sampling.{key}"] for key in ("t", "span", "seed")}
    return Look(row, data, int(e.parameters["train.crop"]), sampling)


def _heading(c: Comparison, e: Experiment) -> str:
    """The letter, and in what the experiment differs."""
    lines = [f"{key.split('.')[-1]} {comparison.shown(e.parameters.get(key)).replace(', ', ',')}" for key in c.changed]
    lines = [line if len(line) <= LONG else f"{line[:LONG - 1]}…" for line in lines]
    return "\n".join([f"{e.letter} {e.run.name}"[:LONG], *lines[:LINES], *(["…"] if len(lines) > LINES else [])])


def _draw(c: Comparison, one: Chosen, looks: Sequence[Look], path: Path) -> None:
    names, given, own = _drawing(c.experiments[0]).across(looks)
    columns = [*given]
    for e, look, column in zip(c.experiments, looks, own, strict=True):
        guessed = int(look.row.predicted[0])
        said = "right" if guessed == look.row.label[0] else "wrong"
        columns.append(Column(_heading(c, e), column.cells, (
            f"{e.classes[guessed]} {look.row.p[0, guessed]:.2f}, {said}", *column.below)))
    true = c.experiments[0].classes[int(looks[0].row.label[0])]
    title, synthetic = f"{one.clip_id}, {true}", any(e.synthetic for e in c.experiments)
    fig = plots.figure(1.0 + CELL * len(names), f"{title}: {one.why}" if one.why else title, synthetic,
                       max(plots.WIDTH, CELL * len(columns)))
    axes = fig.subplots(len(names), len(columns), squeeze=False)
    for i, column in enumerate(columns):
        for ax, cell in zip(axes[:, i], column.cells, strict=True):
            if callable(cell):
                cell(ax)
            else:
                ax.set(xticks=[], yticks=[], aspect="equal")
                ax.spines[:].set_visible(False)
                ax.text(0.5, 0.5, textwrap.fill(cell, WRAPPED), transform=ax.transAxes, fontsize=7, color=plots.MUTED,
                        ha="center", va="center")
        axes[0, i].set_title(column.title, fontsize=6.5, color=plots.INK)
        axes[-1, i].set_xlabel("\n".join(column.below), fontsize=6.5, color=plots.INK)
    for ax, name in zip(axes[:, 0], names, strict=True):
        ax.set_ylabel(name, fontsize=7, color=plots.INK)
    told = "; ".join(f"{e.label}: {', '.join(column.below)}" + "".join(
        f", {cell}" for cell in column.cells if isinstance(cell, str) and cell)
        for e, column in zip(c.experiments, columns[len(given):], strict=True))
    plots.save(fig, path, f"{title}, of {one.subject}" + (f": {one.why}" if one.why else ""),
               f"Rows: {', '.join(names)}. Columns: {', '.join(column.title for column in given)}, then one a run. "
               f"{told}.", synthetic)

"""The page of a release's annotation: how long its expressions last and rise, who shows what, what is odd, which units.

Computed from what the reader found; no frame is opened, so that the page shows nobody.
"""

import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from mer.datasets import action_units
from mer.datasets.clips import Clip
from mer.datasets.releases import is_synthetic
from mer.datasets.rules import FLAGS, Excluded
from mer.reporting import html, plots

LONGEST, SHORTEST = 500, 40  # milliseconds: by definition a micro-expression lasts from 1/25 to 1/2 second
SHOWN = 40  # rows of a table; the page says how many more there are
FOOTER = ("Made by mer datasets page on this machine. The page shows nobody, but names clips and subjects of the "
          "release: pass it on only as its agreement allows.")


def milliseconds(clip: Clip, first: int, last: int) -> float:
    """From the beginning of frame `first` to the end of frame `last`."""
    return 1000 * (last - first + 1) / clip.fps


def units(clip: Clip) -> frozenset[int]:
    """The numbers of the clip's action units, also of those that only may be there; empty where none is annotated."""
    return action_units.units(clip.aus, alternatives=True)


def build(dataset: str, role: str, clips: tuple[Clip, ...], excluded: tuple[Excluded, ...]) -> str:
    """The page as text; `role` micro, macro or long: an expression's length is odd for the first only."""
    synthetic = is_synthetic([dataset])
    with tempfile.TemporaryDirectory() as folder:
        drawn = html.figures(html.figure(path) for path in _pictures(clips, role, Path(folder), synthetic))
    badge = '<span class="badge">Synthetic faces: says nothing about real ones</span>' if synthetic else ""
    people = {clip.subject for clip in clips}
    lede = (f"{len(clips)} clips of {len(people)} subjects, release {clips[0].release}; {len(excluded)} rows of the "
            f"annotation give no clip; {sum(clip.apex is None for clip in clips)} clips have no apex.")
    return html.document(f"Annotation of {dataset}", over="annotation quality", heading=dataset.replace("_", " "),
                         head=badge + html.paragraph(lede, "lede"), skip="the pictures", footer=FOOTER,
                         main=html.section("pictures", "At a glance", drawn) + _tables(clips, excluded, role))


def _pictures(clips: tuple[Clip, ...], role: str, folder: Path, synthetic: bool) -> list[Path]:
    lengths = np.array([milliseconds(clip, clip.onset, clip.offset) for clip in clips])
    rises = np.array([milliseconds(clip, clip.onset, clip.apex) for clip in clips if clip.apex is not None])
    fig = plots.figure(3.0, "Length and rise", synthetic)
    ax = fig.subplots()
    top = float(np.percentile(lengths, 99)) * 1.05
    bins = np.linspace(0, top, 41)
    ax.hist(lengths.clip(max=top), bins=bins, color=plots.MAIN, alpha=0.75, label="onset to offset")
    if len(rises):
        ax.hist(rises.clip(max=top), bins=bins, histtype="step", color=plots.WARM, linewidth=1.6, label="onset to apex")
    if role == "micro":
        ax.axvline(LONGEST, color=plots.MUTED, linestyle="--", linewidth=1.2, label=f"{LONGEST} ms")
    ax.set(xlabel="milliseconds", ylabel="clips")
    fig.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False, labelcolor=plots.INK)
    plots.style(ax)
    told = f"median length {np.median(lengths):.0f} ms"
    told += f", median rise {np.median(rises):.0f} ms" if len(rises) else ""
    plots.save(fig, folder / "lengths.png", "Length and rise", f"Histograms of {len(clips)} clips: {told}.", synthetic)

    people, labels = sorted({c.subject for c in clips}), [name for name, _ in Counter(
        c.label_raw for c in clips).most_common()]
    counts = np.zeros((len(people), len(labels)), int)
    np.add.at(counts, ([people.index(c.subject) for c in clips], [labels.index(c.label_raw) for c in clips]), 1)
    fig = plots.figure(min(1.4 + 0.14 * len(people), 9), "Clips of each subject and label", synthetic)
    ax = fig.subplots()
    shown = ax.imshow(counts, cmap=plots.SHADES, aspect="auto", vmin=0)
    fig.colorbar(shown, ax=ax, label="clips", ticks=MaxNLocator(integer=True))
    ax.set(xticks=range(len(labels)), yticks=[], ylabel=f"{len(people)} subjects")
    plots.style(ax)
    ax.set_xticklabels([name if len(name) < 12 else f"{name[:11]}…" for name in labels], rotation=30, ha="right")
    plots.save(fig, folder / "people.png", "Clips of each subject and label",
               "A row a subject, darker for more clips; " + ", ".join(
                   f"{name} {count}" for name, count in zip(labels, counts.sum(0), strict=True)) + ".", synthetic)
    return [folder / "lengths.png", folder / "people.png"]


def _tables(clips: tuple[Clip, ...], excluded: tuple[Excluded, ...], role: str) -> str:
    flags = Counter(flag for clip in clips for flag in clip.flags.split(";") if flag)
    lengths = {clip.clip_id: milliseconds(clip, clip.onset, clip.offset) for clip in clips}
    odd = [] if role != "micro" else [(clip.clip_id, f"{lengths[clip.clip_id]:.0f}") for clip in sorted(
        clips, key=lambda clip: -lengths[clip.clip_id]) if not SHORTEST <= lengths[clip.clip_id] <= LONGEST]
    by_label = defaultdict(list)
    for clip in clips:
        by_label[clip.label_raw].append(clip)
    rows = []
    for label, those in sorted(by_label.items(), key=lambda item: -len(item[1])):
        rises = [milliseconds(c, c.onset, c.apex) for c in those if c.apex is not None]
        rows.append((label, len(those), len({c.subject for c in those}),
                     f"{np.median([lengths[c.clip_id] for c in those]):.0f}",
                     f"{np.median(rises):.0f}" if rises else ""))
    return "".join((
        html.section("labels", "Labels", html.grid(
            "Clips, subjects, median length and rise in milliseconds", ("label", "clips", "subjects", "length", "rise"),
            rows)),
        html.section("oddities", "What was mended or is odd",
                     html.grid("Flags of the clips", ("flag", "clips", "what it says"), [
                         (flag, count, FLAGS.get(flag, "")) for flag, count in flags.most_common()]),
                     html.grid(f"Clips shorter than {SHORTEST} or longer than {LONGEST} ms", ("clip", "milliseconds"),
                               odd[:SHOWN]), _more(odd)),
        html.section("lost", "Rows that give no clip",
                     html.grid("And why", ("row", "reason"), [(row.clip_id, row.reason) for row in excluded[:SHOWN]]),
                     _more(excluded)),
        html.section("units", "Action units and labels", *_units(by_label))))


def _more(rows: list | tuple) -> str:
    return html.paragraph(f"And {len(rows) - SHOWN} more.", "quiet") if len(rows) > SHOWN else ""


def _units(by_label: dict[str, list[Clip]]) -> list[str]:
    """Which units go with which label, and how many clips share their units with clips of another label."""
    coded = {label: [units(clip) for clip in clips if units(clip)] for label, clips in by_label.items()}
    if not any(coded.values()):
        return []
    rows, labels_of = [], defaultdict(set)
    for label, sets in coded.items():
        for found in sets:
            labels_of[found].add(label)
        common = Counter(unit for found in sets for unit in found).most_common(6)
        rows.append((label, len(sets), ", ".join(f"{unit} ({100 * n / len(sets):.0f} %)" for unit, n in common)))
    total = sum(map(len, coded.values()))
    shared = sum(len(labels_of[found]) > 1 for sets in coded.values() for found in sets)
    return [html.grid("The commonest action units of each label", ("label", "clips with units", "units"), rows),
            html.paragraph(f"{shared} of {total} clips with units have a combination that stands under another label "
                           "too: from the units alone their label cannot be told." if shared else
                           f"None of the {total} clips with units has a combination that another label has too.")]

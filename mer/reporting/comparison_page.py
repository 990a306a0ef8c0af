"""The page of `mer.compare`: self-contained, without time or host; the clothes are those of reports/index.html."""

import tempfile
from html import escape
from pathlib import Path

import numpy as np

from mer.evaluation import metrics
from mer.reporting import comparison, curves, forest, html, plots, side_by_side
from mer.reporting.comparison import Against, Comparison, Experiment
from mer.reporting.curves import COLOURS, MARKERS
from mer.reporting.side_by_side import Chosen

FOOTER = "Made by mer.compare from each experiment's params.yaml, reports/metrics.json and reports/predictions.csv."
FACES = (" The pictures of clips are of what its folds kept; they show faces: pass the page on only as the releases' "
         "agreements allow.")


def build(c: Comparison, clips: list[Chosen] | None = None) -> str:
    """The page as text; `clips`: those that are drawn side by side.

    Raises:
        MerError: the clips cannot be drawn so, see `side_by_side.draw`.
    """
    first, *_ = c.experiments
    title = f"{', '.join(one.experiment.label for one in c.against)} against {first.label}"
    badges = "".join(f'<span class="badge">{escape(words)}</span>' for words in _badges(c))
    ledes = "".join(html.paragraph(_lede(c, one), "lede") for one in c.against)
    parts = "".join((_about(c), _parameters(c), _scores(c), _curve(c), _tests(c), _pictures(c), _clips(c, clips or [])))
    return html.document(title, over="finished experiments, compared", heading=title, skip="the comparison",
                         head=badges + ledes, main=parts, footer=FOOTER + (FACES if clips else ""))


def _badges(c: Comparison) -> list[str]:
    marked = [(words, e.letter) for e in c.experiments for words in comparison.marks(e)]
    return [f"{words}: {', '.join(letter for other, letter in marked if other == words)}"
            for words in dict.fromkeys(words for words, _ in marked)]


def _lede(c: Comparison, one: Against) -> str:
    first, other = c.experiments[0], one.experiment
    value, interval = one.difference["accuracy"]
    words = (f"{other.label} recognises {100 * other.metrics['accuracy']:.1f} %, {first.label} "
             f"{100 * first.metrics['accuracy']:.1f} %: {100 * value:+.1f} points")
    if one.problem:
        return f"{words}, on different ground: {one.problem}."
    if interval:
        words += f", 95 % interval {100 * interval[0]:+.1f} to {100 * interval[1]:+.1f}"
    test = one.tests[1]
    adjusted = f", {test.holm:.2g} with Holm's adjustment" if len(c.against) > 1 else ""
    return f"{words}; {test.found.name} p = {test.found.p:.2g}{adjusted}."


def _about(c: Comparison) -> str:
    return html.section("about", "What is compared",
                        html.grid("Experiments", ("experiment", *(e.label for e in c.experiments)),
                                  comparison.about_rows(c)),
                        *map(html.paragraph, comparison.remarks(c)))


def _parameters(c: Comparison) -> str:
    header = ("parameter", *(e.label for e in c.experiments))
    return html.section("parameters", "Parameters", html.grid("Parameters that differ", header,
                                                              comparison.parameter_rows(c))
                        or html.paragraph("All parameters are the same."))


def _scores(c: Comparison) -> str:
    header = [e.label for e in c.experiments]
    return html.section(
        "scores", "Scores", html.grid("Headline scores, percent, with 95 % intervals",
                                      ("score", *header), comparison.score_rows(c)),
        html.grid("Beside it", ("measure", *header), comparison.beside_rows(c)),
        html.grid("Cost, when it was made", ("cost", *header), comparison.cost_rows(c)),
        html.paragraph("TP, FP and FN are summed over all folds before a score is computed; "
                       "intervals: subjects resampled, each experiment by itself. Whether two experiments differ is "
                       "told by the differences below, not by whether these intervals overlap.", "quiet"))


def _curve(c: Comparison) -> str:
    if not (key := curves.knob(c)):
        return ""
    with tempfile.TemporaryDirectory() as folder:
        drawn = html.figures([html.figure(curves.draw(c, key, Path(folder)))])
    return html.section("curve", f"Over {key}", drawn, html.paragraph(
        "Experiments of this project alone. Choosing the highest point is choosing on the tested subjects.", "quiet"))


def _tests(c: Comparison) -> str:
    parts, several = [], len(c.against) > 1
    for one in c.against:
        title = f"{one.experiment.label} minus {c.experiments[0].label}"
        if one.problem:
            parts += [html.grid(f"{title}, points, unpaired", ("score", "points"),
                                [row[:2] for row in comparison.difference_rows(one)]),
                      html.paragraph(f"Not paired: {one.problem}. Their numbers stand side by side only.")]
            continue
        parts += [html.grid(f"{title}, points", ("score", "points", "95 % interval"),
                            comparison.difference_rows(one)),
                  html.grid(f"{title}, paired tests", comparison.paired_header(several),
                            comparison.paired_rows(one, several)),
                  '<ul class="notes">' + "".join(f"<li>{escape(f'{test.found.name}: {test.caveat}')}</li>"
                                                 for test in one.tests) + "</ul>"]
    words = ("Differences are the experiment minus the baseline; intervals resample subjects, the same ones for both. "
             "Tests are two-sided. A large p is no proof that nothing differs, a small one none that it matters: read "
             "the difference and its interval first. Experiments that were tried and are not on this page count too.")
    if several:
        words += (f" Each test was made {len(c.against)} times at most: Holm's p holds for that many comparisons with "
                  "the baseline, not for choosing among the tests.")
    with tempfile.TemporaryDirectory() as folder:
        forest_plot = forest.draw(c, Path(folder))
        drawn = html.figures([html.figure(forest_plot)] if forest_plot else [])
    return html.section("tests", "Against the baseline", drawn, *parts, html.paragraph(words, "quiet"))


def _pictures(c: Comparison) -> str:
    with tempfile.TemporaryDirectory() as folder:
        bars = subjects(c.experiments, Path(folder))
        matrices = []
        for e in c.experiments:
            own = Path(folder) / e.letter
            plots.confusion_matrix(e.head, e.classes, own, e.synthetic)
            # caption and alt text name the experiment too
            shown = html.figure(own / "confusion.png")
            matrices.append(shown.replace('alt="', f'alt="{escape(e.label)}. ', 1)
                            .replace("<figcaption><b>", f"<figcaption><b>{escape(e.label)}: ", 1))
        return (html.section("confusion", "Confusion matrices", html.figures(matrices))
                + html.section("subjects", "Subjects", html.figures([html.figure(bars)])))


def _clips(c: Comparison, clips: list[Chosen]) -> str:
    if not clips:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        drawn = html.figures(map(html.figure, side_by_side.draw(c, clips, Path(folder))), "wide")
    return html.section("clips", "The same clips", drawn, html.paragraph(
        "Each network has never seen the subject; it is the one after the last step, of the run's first seed. A few "
        "clips show what is meant by a number, and prove none.", "quiet"))


def subjects(experiments: tuple[Experiment, ...], folder: Path) -> Path:
    """subjects.png: the accuracy of each held-out subject in every experiment, best of the baseline on top."""
    found = []
    for e in experiments:
        people, counts = metrics.confusion_by(e.head.subject, e.head.label, e.head.predicted, e.head.classes)
        found.append(dict(zip(people.tolist(), metrics.accuracy(counts).tolist(), strict=True)))
    names = sorted(set().union(*found), key=lambda name: (-found[0].get(name, -1), name))
    values = np.array([[one.get(name, np.nan) for name in names] for one in found])  # (experiments, S)
    synthetic, title = any(e.synthetic for e in experiments), "Accuracy of each held-out subject"
    fig = plots.figure(1.2 + 0.2 * len(names), title, synthetic)
    ax, rows = fig.subplots(), np.arange(len(names))
    ax.hlines(rows, np.nanmin(values, axis=0), np.nanmax(values, axis=0), color=plots.GRID, linewidth=3)
    for i, (e, row) in enumerate(zip(experiments, values, strict=True)):
        # equal values lie side by side, each marker to be seen
        ax.plot(row, rows + 0.14 * (i - (len(experiments) - 1) / 2), MARKERS[i % len(MARKERS)], markersize=5.5,
                color=COLOURS[i % len(COLOURS)], label=e.label if len(e.label) < 28 else f"{e.label[:27]}…")
    one = len({name.split("/")[0] for name in names}) == 1
    ax.set(xlim=(-0.03, 1.03), ylim=(len(names) - 0.4, -0.6), yticks=rows,
           yticklabels=[name.split("/", 1)[1] if one else name for name in names],
           xlabel="accuracy (fraction of the subject's clips)", ylabel="subject")
    ax.grid(axis="x", color=plots.GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    fig.legend(loc="outside lower right", ncols=2, fontsize=8, frameon=False, labelcolor=plots.INK)
    plots.style(ax)
    ax.tick_params(axis="y", length=0)
    plots.save(fig, folder / "subjects.png", title, " ".join(_told(experiments, values)), synthetic)
    return folder / "subjects.png"


def _told(experiments: tuple[Experiment, ...], values: np.ndarray) -> list[str]:
    words = [f"One row a subject, {values.shape[1]} of them, one mark an experiment."]
    for e, row in zip(experiments[1:], values[1:], strict=True):
        both = np.isfinite(row) & np.isfinite(values[0])
        change = np.sign((row - values[0])[both]).astype(int).tolist()
        words.append(f"{e.label} is better than {experiments[0].label} for {change.count(1)} subjects, worse for "
                     f"{change.count(-1)}, equal for {change.count(0)}.")
    return words

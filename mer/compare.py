"""`python -m mer.compare A B [C ...]`: finished experiments side by side, and tests of each against the first.

A, B ... are DVC experiments, Git revisions, `workspace`, or folders of another checkout; the first is the baseline.
Everything is computed from what each left: params.yaml, reports/metrics.json and reports/predictions.csv; the pictures
of --clips also from data/folds and data/aligned, of an experiment from DVC's cache.
"""

import argparse
import string
from collections.abc import Sequence
from pathlib import Path

from mer.base import store
from mer.base.command import prog
from mer.base.errors import MerError, main
from mer.base.knobs import read_yaml
from mer.evaluation import measures, metrics
from mer.reporting import comparison
from mer.reporting.comparison import Comparison, Experiment
from mer.runs.finished import PREDICTIONS, Run, open_run
from mer.runs.freshness import METRICS


def read(letter: str, name: str) -> Experiment:
    """The finished experiment that `name` stands for (see `open_run`).

    Raises:
        MerError: no such experiment; a file is missing, damaged, or not of the same run as the others.
    """
    try:
        run = open_run(name)
        table, numbers, parameters, unresolved = run.predictions, run.metrics, *_parameters(run)
    except MerError as error:
        said = str(error)
        raise MerError(said if said.startswith((f"{name}: ", f"{Path(name).name}: ")) else f"{name}: {said}") from None
    selection = parameters["selection"][0]
    classes = tuple(key.removeprefix("recall_") for key in numbers if key.startswith("recall_"))
    found = Experiment(letter, run, parameters, table.where(selection), selection, classes, unresolved)
    _check(found, name)
    return found


def _parameters(run: Run) -> tuple[dict[str, object], str]:
    """(flat parameters, ""); where this version of the code cannot resolve them as they are written, and why."""
    try:
        return run.parameters, ""
    except MerError as error:
        written, why = run.written, str(error)
        if not {"model", "profile", "classes", "protocol"} <= written.keys() or not all(
                isinstance(written.get(key), list) and written[key] for key in ("datasets", "selection")
                ) or written["selection"][0] not in ("last", "inner"):  # the oracle is never a headline
            raise
        # the page names no folder of this machine
        return written, why if run.folder is None else why.replace(f"{run.folder}/", "")


def _check(e: Experiment, name: str) -> None:
    """metrics.json must be what the predictions say, for the headline: else they are of two runs."""
    if not len(e.head) or e.head.classes != len(e.classes):
        raise MerError(f"{name}: {PREDICTIONS} has {len(e.head)} rows of the headline's selection {e.selection!r} and "
                       f"{e.head.classes} classes, {METRICS} has {len(e.classes)} classes; expected those of one run: "
                       "`dvc repro`")
    scores = measures.scores(metrics.confusion(e.head.label, e.head.predicted, e.head.classes))
    for key, value in scores.items():
        if not isinstance(e.metrics.get(key), int | float) or abs(e.metrics[key] - value) > 1e-9:
            raise MerError(f"{name}: {METRICS} says {key} = {e.metrics.get(key)}, its {PREDICTIONS} gives {value:.6g}; "
                           "they are of two runs: `dvc checkout` or `dvc repro`")


def told(c: Comparison) -> str:
    """The core of the comparison, for the terminal."""
    letters, several = [e.label for e in c.experiments], len(c.against) > 1
    parts = [_columns(["experiment", *letters], comparison.about_rows(c)), "\n".join(comparison.remarks(c)),
             _columns(["parameters that differ", *letters], comparison.parameter_rows(c)) or
             "All parameters are the same.",
             _columns(["percent [95 % interval]", *letters], comparison.score_rows(c)),
             _columns(["beside it", *letters], comparison.beside_rows(c)),
             _columns(["cost, when it was made", *letters], comparison.cost_rows(c))]
    for one in c.against:
        title = f"{one.experiment.label} minus {c.experiments[0].label}"
        parts.append(_columns([title, "points", "95 % interval"], comparison.difference_rows(one)))
        parts.append(f"not paired: {one.problem}" if one.problem else
                     _columns(comparison.paired_header(several), comparison.paired_rows(one, several)))
    return "\n\n".join(filter(None, parts))


def _columns(header: Sequence[str], rows: list[list[str]]) -> str:
    """Lines of aligned columns; "" without rows."""
    if not rows:
        return ""
    lines = [list(header), *rows]
    kept = [i for i in range(len(header)) if any(line[i] for line in rows)]  # a column without content is left out
    widths = [max(len(line[i]) for line in lines) for i in kept]
    return "\n".join("  ".join(line[i].ljust(width) for i, width in zip(kept, widths, strict=True)).rstrip()
                     for line in lines)


def _faces(path: Path) -> bool:
    """What params.yaml says of faces on pages."""
    section = read_yaml(path).get("report") if path.is_file() else None
    return isinstance(section, dict) and section.get("faces") is True


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(prog=prog("mer.compare"), description=__doc__.splitlines()[0],
                                   epilog=" ".join(__doc__.split("\n", 2)[2].split()))
    made.add_argument("experiments", metavar="EXPERIMENT", nargs="+", help="DVC experiment, Git revision, "
                      "`workspace` or folder of another checkout; the first is the baseline")
    made.add_argument("--clips", type=Path, metavar="FILE", help="draw the clips of this list (CSV: subject, clip_id) "
                      "side by side, from what the folds kept; without such a file the first experiment chooses, and "
                      "it is written")
    made.add_argument("--out", type=Path, default=Path("reports/comparison.html"),
                      help="the page (default reports/comparison.html)")
    return made


def run() -> None:
    """Write the page and print the comparison.

    Raises:
        MerError: fewer than two experiments, one twice, or one that cannot be read.
    """
    asked = parser().parse_args()
    names, letters = asked.experiments, string.ascii_uppercase
    if not 2 <= len(names) <= len(letters) or len(set(names)) < len(names):
        raise MerError(f"compare: {' '.join(names)}; expected from 2 to {len(letters)} experiments, each once: "
                       "the baseline first, such as `python -m mer.compare HEAD workspace`")
    if asked.out.is_dir():
        raise MerError(f"--out {asked.out}: a folder; expected the name of a file")
    from mer.reporting import comparison_page, sections, side_by_side

    c = comparison.compare([read(letter, name) for letter, name in zip(letters, names, strict=False)])
    listed = asked.clips is not None and asked.clips.exists()
    clips = [] if asked.clips is None else side_by_side.read(asked.clips) if listed else side_by_side.choose(
        c.experiments[0])
    people = {name for one in c.experiments for name in one.parameters["datasets"]} if clips else set()
    if not sections.may_show(_faces(Path("params.yaml")), people):
        raise MerError(f"--clips draws faces of real people ({', '.join(sorted(people))}); set report.faces: true in "
                       "params.yaml if the page stays with those who may see them")
    store.write_text(asked.out, comparison_page.build(c, clips))
    print(told(c))
    if clips and not listed:
        side_by_side.write(asked.clips, clips)
        print(f"\nwritten: {asked.clips.as_posix()}, {len(clips)} clips that {c.experiments[0].label} chose")
    print(f"\nwritten: {asked.out.as_posix()}")


if __name__ == "__main__":
    main(run)

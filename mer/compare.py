"""`python -m mer.compare A B [C ...]`: finished experiments side by side, and tests of each against the first.

A, B ... are DVC experiments, Git revisions, `workspace`, or folders of another checkout; the first is the baseline.
Everything is computed from what each left: params.yaml, reports/metrics.json and reports/predictions.csv.
"""

import argparse
import contextlib
import dataclasses
import string
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mer import params
from mer.base import knobs, store
from mer.base.command import prog
from mer.base.errors import MerError, main
from mer.base.knobs import flatten
from mer.evaluation import metrics, predictions
from mer.reporting import comparison
from mer.reporting.comparison import Comparison, Experiment
from mer.runs import finished, sources

FILES = ("params.yaml", "reports/metrics.json", "reports/predictions.csv")


def read(letter: str, name: str) -> Experiment:
    """The finished experiment that `name` stands for (see `sources.find`).

    Raises:
        MerError: no such experiment; a file is missing, damaged, or not of the same run as the others.
    """
    source = sources.find(name)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in (*FILES, *(["dvc.lock"] if source.has("dvc.lock") else [])):
            store.write_text(root / path, source.text(path))
        try:
            with contextlib.chdir(root):
                finished.refuse_changes()
                numbers, raw = store.read_json(FILES[1]), knobs.read_yaml(Path(FILES[0]))
                table = predictions.read(FILES[2])
        except MerError as error:
            raise MerError(f"{name}: {error}") from None
        parameters = written = flatten({key: raw[key] for key in raw if key != "profiles"})
        unresolved = ""
        try:
            with contextlib.chdir(source.folder or "."):  # where one's own datasets lie
                parameters = flatten(dataclasses.asdict(params.load(root / FILES[0])))
        except MerError as error:
            unresolved = str(error).replace(str(root / FILES[0]), FILES[0])
            if not {"model", "profile", "classes", "protocol"} <= written.keys() or not all(
                    isinstance(written.get(key), list) and written[key] for key in ("datasets", "selection")
                    ) or written["selection"][0] not in ("last", "inner"):  # the oracle is never a headline
                raise MerError(f"{name}: {unresolved}") from None
    if not isinstance(numbers, dict):
        raise MerError(f"{name}: {FILES[1]}: expected numbers by name, found {type(numbers).__name__}")
    selection = parameters["selection"][0]
    classes = tuple(key.removeprefix("recall_") for key in numbers if key.startswith("recall_"))
    found = Experiment(letter, source, parameters, written, numbers, table.where(selection), selection, classes,
                       unresolved)
    _check(found, name)
    return found


def _check(e: Experiment, name: str) -> None:
    """metrics.json must be what the predictions say, for the headline: else they are of two runs."""
    if not len(e.head) or e.head.classes != len(e.classes):
        raise MerError(f"{name}: {FILES[2]} has {len(e.head)} rows of the headline's selection {e.selection!r} and "
                       f"{e.head.classes} classes, {FILES[1]} has {len(e.classes)} classes; expected those of one run: "
                       "`dvc repro`")
    scores = metrics.scores(metrics.confusion(e.head.label, e.head.predicted, e.head.classes))
    for key, value in scores.items():
        if not isinstance(e.metrics.get(key), int | float) or abs(e.metrics[key] - value) > 1e-9:
            raise MerError(f"{name}: {FILES[1]} says {key} = {e.metrics.get(key)}, its {FILES[2]} gives {value:.6g}; "
                           "they are of two runs: `dvc checkout` or `dvc repro`")


def told(c: Comparison) -> str:
    """The core of the comparison, for the terminal."""
    letters, several = [e.label for e in c.experiments], len(c.against) > 1
    parts = [_columns(["experiment", *letters], comparison.about_rows(c)), "\n".join(comparison.remarks(c)),
             _columns(["parameters that differ", *letters], comparison.parameter_rows(c)) or
             "All parameters are the same.",
             _columns(["percent [95 % interval]", *letters], comparison.score_rows(c)),
             _columns(["beside it", *letters], comparison.beside_rows(c))]
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


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(prog=prog("mer.compare"), description=__doc__.splitlines()[0],
                                   epilog=" ".join(__doc__.split("\n", 2)[2].split()))
    made.add_argument("experiments", metavar="EXPERIMENT", nargs="+", help="DVC experiment, Git revision, "
                      "`workspace` or folder of another checkout; the first is the baseline")
    made.add_argument("--out", type=Path, default=Path("reports/comparison.html"),
                      help="the page (default reports/comparison.html)")
    return made


def run() -> None:
    asked = parser().parse_args()
    names, letters = asked.experiments, string.ascii_uppercase
    if not 2 <= len(names) <= len(letters) or len(set(names)) < len(names):
        raise MerError(f"compare: {' '.join(names)}; expected from 2 to {len(letters)} experiments, each once: "
                       "the baseline first, such as `python -m mer.compare HEAD workspace`")
    if asked.out.is_dir():
        raise MerError(f"--out {asked.out}: a folder; expected the name of a file")
    from mer.reporting import comparison_page

    c = comparison.compare([read(letter, name) for letter, name in zip(letters, names, strict=False)])
    store.write_text(asked.out, comparison_page.build(c))
    print(told(c))
    print(f"\nwritten: {asked.out.as_posix()}")


if __name__ == "__main__":
    main(run)

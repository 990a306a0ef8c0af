"""The prediction table: one CSV row a clip, fold, seed and selection; every metric, plot and test is computed from it.

Columns: `clip_id, subject, fold, seed, selection, label, p_0 .. p_{m-1}` and, empty or absent where a model does not
have the task, the errors of the models' own tasks (the columns of `measures.columns`, such as `epe`). `label` is the
class index.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mer.base import store
from mer.base.errors import MerError
from mer.evaluation import measures

KEYS = ("clip_id", "subject", "fold", "seed", "selection", "label")
AUX = tuple(measures.columns())  # of the models' own tasks


@dataclass(frozen=True)
class Predictions:
    """A prediction table of N rows and m classes. `aux` maps every name of `AUX` to (N,) float64, NaN = empty cell."""

    clip_id: np.ndarray  # (N,) str
    subject: np.ndarray  # (N,) str, prefixed with the dataset
    fold: np.ndarray  # (N,) str
    seed: np.ndarray  # (N,) int64
    selection: np.ndarray  # (N,) str: last, inner, oracle, zero_shot
    label: np.ndarray  # (N,) int64, 0..m-1
    p: np.ndarray  # (N, m) float64, rows sum to 1
    aux: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def classes(self) -> int:
        """m, the number of classes."""
        return self.p.shape[1]

    @property
    def predicted(self) -> np.ndarray:
        """(N,) int: the most probable class; of equals the first."""
        return self.p.argmax(axis=1)

    def rows(self, chosen: np.ndarray) -> "Predictions":
        """The rows of a mask or of positions."""
        return Predictions(self.clip_id[chosen], self.subject[chosen], self.fold[chosen], self.seed[chosen],
                           self.selection[chosen], self.label[chosen], self.p[chosen],
                           {name: values[chosen] for name, values in self.aux.items()})

    def where(self, selection: str | None = None, seed: int | None = None) -> "Predictions":
        """The rows of one selection rule, of one seed, or of both."""
        keep = np.ones(len(self), bool)
        if selection is not None:
            keep &= self.selection == selection
        if seed is not None:
            keep &= self.seed == seed
        return self.rows(keep)


def table(clip_id: Sequence[str], subject: Sequence[str], fold: Sequence[str] | str, seed: Sequence[int] | int,
          selection: Sequence[str] | str, label: Sequence[int], p: np.ndarray,
          aux: dict[str, Sequence[float]] | None = None, *, source: str = "predictions") -> Predictions:
    """A checked table; a single `fold`, `seed` or `selection` stands for all rows, a missing `aux` for empty cells.

    Raises:
        MerError: naming `source`, the row (1 = the first below the header) and the column of what is wrong.
    """
    n = len(clip_id)

    def column(values, kind):
        values = [values] * n if isinstance(values, str | int | np.integer) else values
        if len(values) != n:
            raise MerError(f"{source}: {len(values)} values in a column of a table with {n} rows")
        return np.array(values, dtype=kind).reshape(n)

    unknown = set(aux or {}) - set(AUX)
    if unknown:
        raise MerError(f"{source}: unknown column {min(unknown)}; expected of {', '.join(AUX)}")
    p = np.asarray(p, np.float64)
    if p.ndim != 2 or len(p) != n or p.shape[1] < 2:
        raise MerError(f"{source}: probabilities of shape {p.shape}; expected ({n}, classes) with at least 2 classes")
    made = Predictions(column(clip_id, str), column(subject, str), column(fold, str), column(seed, np.int64),
                       column(selection, str), column(label, np.int64), p,
                       {name: column((aux or {}).get(name, [np.nan] * n), np.float64) for name in AUX})
    _check(made, source)
    return made


def read(path: str | Path) -> Predictions:
    """Read one prediction table.

    Raises:
        MerError: file missing or empty, column missing or unknown, cell that does not parse, probabilities that are
            not probabilities, a clip predicted twice or with two labels; each names the file, row and column.
    """
    try:
        return parse(Path(path).read_bytes().decode("utf-8"), path)
    except FileNotFoundError:
        raise MerError(f"{path}: no such prediction table; run `dvc repro` to make it") from None
    except UnicodeDecodeError as error:
        raise MerError(f"{path}: not a CSV table ({error})") from None


def parse(text: str, path: str | Path) -> Predictions:
    """The prediction table that the text of a file holds; errors, those of `read`, name `path`."""
    try:
        lines = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise MerError(f"{path}: not a CSV table ({error})") from None
    if not lines:
        raise MerError(f"{path}: empty file; expected a header {','.join(KEYS)},p_0,...")
    header, body = lines[0], lines[1:]
    for name in (*KEYS, "p_0", "p_1"):
        if name not in header:
            raise MerError(f"{path}: column {name} is missing; found {','.join(header)}")
    m = sum(name.startswith("p_") for name in header)
    for name in header:
        if header.count(name) > 1 or name not in (*KEYS, *AUX, *(f"p_{j}" for j in range(m))):
            raise MerError(f"{path}: unexpected column {name!r}; expected {','.join(KEYS)},p_0..p_{m - 1} and "
                           f"of {','.join(AUX)}, each once")
    if not body:
        raise MerError(f"{path}: no row below the header; expected one row a clip")
    for row, line in enumerate(body, 1):
        if len(line) != len(header):
            raise MerError(f"{path}: row {row} has {len(line)} cells; expected {len(header)}")

    def column(name: str, kind: type = str) -> list:
        at, values = header.index(name), []
        for row, line in enumerate(body, 1):
            try:
                values.append(np.nan if kind is float and name in AUX and line[at] == "" else kind(line[at]))
            except ValueError:
                wanted = "a whole number" if kind is int else "a number"
                raise MerError(f"{path}: row {row}, column {name}: {line[at]!r}; expected {wanted}") from None
        return values

    return table(column("clip_id"), column("subject"), column("fold"), column("seed", int), column("selection"),
                 column("label", int), np.array([column(f"p_{j}", float) for j in range(m)]).T,
                 {name: column(name, float) for name in AUX if name in header}, source=str(path))


def write(path: str | Path, predictions: Predictions) -> None:
    """Write a table atomically, sorted by selection, seed, subject and clip; the same table gives the same bytes."""
    t = predictions
    extra = [name for name in AUX if name in t.aux and np.isfinite(t.aux[name]).any()]
    rows = []
    for i in np.lexsort((t.clip_id, t.subject, t.seed, t.selection)):
        aux = [t.aux[name][i] for name in extra]
        rows.append([t.clip_id[i], t.subject[i], t.fold[i], t.seed[i], t.selection[i], t.label[i], *t.p[i],
                     *("" if np.isnan(value) else value for value in aux)])
    store.write_csv(path, [*KEYS, *(f"p_{j}" for j in range(t.classes)), *extra], rows)


def concat(tables: Iterable[Predictions], *, source: str = "predictions") -> Predictions:
    """One table of several.

    Raises:
        MerError: no table, tables with different numbers of classes, or the same prediction in two of them.
    """
    tables = list(tables)
    if not tables:
        raise MerError(f"{source}: no prediction table; run `dvc repro` to train the folds")
    if len({t.classes for t in tables}) > 1:
        raise MerError(f"{source}: tables with {sorted({t.classes for t in tables})} classes; expected one number")
    whole = Predictions(**{name: np.concatenate([getattr(t, name) for t in tables]) for name in (*KEYS, "p")},
                        aux={name: np.concatenate([t.aux[name] for t in tables]) for name in AUX})
    _check(whole, source)
    return whole


def of_folds(folder: Path, files: Iterable[Path], seeds: Iterable[int]) -> Predictions:
    """The table of all folds of a run, below its `folder` with folds.csv.

    Raises:
        MerError: as `concat`; or a clip that folds.csv tests is not predicted by its fold, with one of the seeds and
            under each selection; or a prediction is of none of these.
    """
    table = concat(map(read, files), source=folder.as_posix())
    if (folder / "folds.csv").is_file():
        with open(folder / "folds.csv", encoding="utf-8", newline="") as file:
            wanted = {(seed, row["fold"], row["clip_id"]) for row in csv.DictReader(file) for seed in seeds}
        for selection in dict.fromkeys(["last", *table.selection.tolist()]):
            t = table.where(selection)
            have = set(zip(t.seed.tolist(), t.fold.tolist(), t.clip_id.tolist(), strict=True))
            if lost := sorted(wanted - have):
                seed, fold, clip = lost[0]
                raise MerError(f"{folder.as_posix()}: {len(lost)} of {len(wanted)} predictions that folds.csv names "
                               f"are not there (selection {selection}), the first of clip {clip} by fold {fold}, seed "
                               f"{seed}; run `dvc repro` to train what is lost")
            if strange := sorted(have - wanted):
                seed, fold, clip = strange[0]
                raise MerError(f"{folder.as_posix()}: {len(strange)} predictions are none that folds.csv names, the "
                               f"first of clip {clip} by fold {fold}, seed {seed}, so of another run; delete the "
                               "folder and run `dvc repro`")
    return table


def _check(t: Predictions, source: str) -> None:
    def refuse(bad: np.ndarray, column: str, found, expected: str) -> None:
        if bad.any():
            row = int(bad.argmax())
            raise MerError(f"{source}: row {row + 1}, column {column}: {found(row)}; expected {expected}")

    for name in ("clip_id", "subject", "fold", "selection"):
        refuse(getattr(t, name) == "", name, lambda row: "empty", "a word")
    refuse((t.label < 0) | (t.label >= t.classes), "label", lambda row: t.label[row],
           f"a class index from 0 to {t.classes - 1}")
    refuse(~np.isfinite(t.p).all(axis=1) | (t.p < 0).any(axis=1) | (abs(t.p.sum(axis=1) - 1) > 1e-3), "p_0...",
           lambda row: " ".join(f"{value:.6g}" for value in t.p[row]), "probabilities that sum to 1")
    for name, values in t.aux.items():
        low = measures.columns()[name].least
        refuse(np.isinf(values) | (values < low), name, lambda row, values=values: values[row],
               f"empty or a number >= {low:g}")
    seen = set()
    truth: dict[tuple[str, str], np.int64] = {}
    for row, key in enumerate(zip(t.selection, t.seed, t.subject, t.clip_id, strict=True)):
        if key in seen:
            raise MerError(f"{source}: row {row + 1}: clip {key[3]} of {key[2]} is predicted twice for seed {key[1]} "
                           f"and selection {key[0]}; expected once")
        seen.add(key)
        if truth.setdefault(key[2:], t.label[row]) != t.label[row]:
            raise MerError(f"{source}: row {row + 1}, column label: {t.label[row]}; clip {key[3]} of {key[2]} had "
                           f"label {truth[key[2:]]} in an earlier row")

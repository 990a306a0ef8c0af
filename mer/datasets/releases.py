"""Which releases there are: every module of readers/ that declares DATASETS is one, and no list names it elsewhere.

    DATASETS = {"casme_sq": "micro", "casme_sq_macro": "macro"}   names it reads -> micro; macro: for pretraining; or
                                                                  long: both kinds, in whole videos
    PEOPLE = {"casme_sq_macro": "casme_sq"}   optional: the dataset whose people each shows, under the same names
    VARIANTS = ("auto", "2019", "2014")    optional: subsets or tables, the first is the default; `index.<name>`
    SIGNS = r"casme2[-_ ]?raw.*"           optional: whole lower-case names of files and folders, its own too,
                                           three levels deep, that tell the release
    def read(root, *, dataset, images, variant) -> Reading   `images` where it has raw and cropped ones, `variant`
                                                             where it has VARIANTS

Its label sets stand beside it (see class_sets.py). A dataset that no reader names has the plain layout.
"""

import difflib
import functools
import hashlib
import importlib
import inspect
import os
import types
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer.base.errors import MerError
from mer.base.knobs import knob
from mer.datasets import action_units
from mer.datasets.clips import SAFE_NAME, Clip
from mer.datasets.rules import Reading

READERS = Path(__file__).with_name("readers")


@dataclass(frozen=True)
class Release:
    """What a reader declares of one dataset.

    `reader`: the module's name; `images`: whether it has raw and cropped ones; `signs`: of a reader's first dataset;
    `people`: the dataset whose people it shows, '' for its own.
    """

    reader: str
    role: str
    variants: tuple[str, ...] = ()
    images: bool = False
    signs: str = ""
    people: str = ""


def _module(name: str) -> types.ModuleType:
    return importlib.import_module(f"mer.datasets.readers.{name}")


@functools.cache
def known() -> dict[str, Release]:
    """The releases by dataset, last those for pretraining alone. The readers' further packages are not imported."""
    found = {}
    for path in sorted(READERS.glob("*.py")):
        module = _module(path.stem)
        for dataset, role in getattr(module, "DATASETS", {}).items():
            found[dataset] = Release(path.stem, role, getattr(module, "VARIANTS", ()),
                                     "images" in inspect.signature(module.read).parameters,
                                     getattr(module, "SIGNS", "") if dataset == next(iter(module.DATASETS)) else "",
                                     getattr(module, "PEOPLE", {}).get(dataset, ""))
    tested = {release.reader for release in found.values() if release.role != "macro"}
    return dict(sorted(found.items(), key=lambda item: item[1].reader not in tested))


def of(name: str) -> Release:
    """What the reader of a dataset declares; one's own is plain."""
    return known().get(name, Release("plain", "micro"))


def _index() -> type:
    variants = {name: release.variants for name, release in known().items() if release.variants}
    return make_dataclass("Index", [
        ("accept_counts", bool, knob()), ("images", str, knob(choices=("raw", "cropped"))),
        *((name, str, knob(choices=choices, default=choices[0], optional=True))
          for name, choices in variants.items())], frozen=True)


if TYPE_CHECKING:
    class Index:
        """Section `index`: one attribute per release with several subsets or tables; which, the readers say."""

        def __getattr__(self, name: str) -> Any: ...
else:
    Index = _index()  # the section of params.yaml; its comments say what each key means


def check_name(name: str, raw: str | Path = "data/raw") -> None:
    """Raise MerError with the nearest known name when a dataset is neither known nor in plain layout under `raw`."""
    if name in known() or (SAFE_NAME.fullmatch(name) and os.path.isfile(Path(raw) / name / "clips.csv")):
        return
    names = [*known(), *sorted(path.parent.name for path in Path(raw).glob("*/clips.csv"))]
    nearest = difflib.get_close_matches(name.lower(), names, 1, 0.5)
    raise MerError(f"datasets: '{name}' is not known" + (f"; did you mean '{nearest[0]}'?" if nearest else ";")
                   + f" Known are {', '.join(names)}; one of your own needs {Path(raw) / name / 'clips.csv'}")


def reader(name: str, raw: str | Path = "data/raw") -> types.ModuleType:
    """The module that reads a dataset. Raises MerError as `check_name` does."""
    check_name(name, raw)
    return _module(of(name).reader)


def described(name: str) -> dict[str, str]:
    """File name -> SHA-256 of a dataset's reader and its label sets: its index is made again when one of them changes.

    Raises MerError when one cannot be read.
    """
    suffixes = (".py", ".yaml") if name in known() else (".py",)  # one's own label sets lie beside its frames
    files = [(READERS / of(name).reader).with_suffix(suffix) for suffix in suffixes]
    try:
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    except OSError as error:
        raise MerError(f"{error.filename} cannot be read: {error.strerror}") from error


def read(name: str, root: str | Path, *, images: str = "raw", variant: str | None = None) -> Reading:
    r"""Read the raw release of a dataset in the folder `root`: `clips`, and `excluded` with reasons.

    Args:
        name: a known release, or any other name for the plain layout.
        images: raw or cropped, where the release has both.
        variant: which of several subsets or tables, as `index.<name>` of params.yaml; None = the default.

    Raises MerError when the folder is missing, `images` or `variant` is not one this release has, or the release
    cannot be read.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from mer import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = "clip_id,subject,frames,onset,apex,offset,fps,label\njoy_1,ann,frames/a,1,2,3,100,joy\n"
    ...     written = Path(folder, "clips.csv").write_text(table)
    ...     Path(folder, "frames/a").mkdir(parents=True)
    ...     for number in (1, 2, 3):
    ...         Path(folder, f"frames/a/img{number}.png").touch()
    ...     reading = datasets.read("mine", folder)
    >>> [(clip.clip_id, clip.subject, clip.apex, clip.label_raw) for clip in reading.clips]
    [('joy_1', 'mine/ann', 2, 'joy')]
    """
    root = Path(root)
    release = of(name)
    if not root.is_dir():
        raise MerError(f"{root.as_posix()} does not exist; put the raw release of {name} there")
    options = {}
    if release.variants:
        options["variant"] = release.variants[0] if variant is None else variant
        if options["variant"] not in release.variants:
            raise MerError(f"index.{name} = '{variant}'; expected one of {', '.join(release.variants)}")
    if release.images:
        if images not in ("raw", "cropped"):
            raise MerError(f"index.images = '{images}'; expected raw or cropped")
        options["images"] = images
    reading = _module(release.reader).read(root, dataset=name, **options)
    _check_text(root, reading)
    return replace(reading, clips=tuple(map(_units_told, reading.clips)))


def _units_told(clip: Clip) -> Clip:
    """The clip, flagged where words of its action units are not read."""
    if not action_units.unread(clip.aus_raw):
        return clip
    return replace(clip, flags=";".join(filter(None, (clip.flags, "units_unread"))))


def _check_text(root: Path, reading: Reading) -> None:
    """Refuse names of files and folders in another encoding than UTF-8, which no table of ours can hold."""
    for text in (*reading.tables, *reading.notes,
                 *(text for clip in reading.clips for text in (clip.frames_dir, clip.label_raw)),
                 *(text for row in reading.excluded for text in (row.label, row.reason))):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise MerError(f"{root}: a name in {text!a} is not UTF-8; rename it, or unpack the archive with the "
                           "encoding it was made in") from None


def people(name: str) -> str:
    """The dataset whose people a dataset shows: as its reader declares, and of one's own `X_macro` those of X.

    >>> people("samm_long"), people("samm"), people("samm_macro"), people("mine_macro")
    ('samm', 'samm', 'samm', 'mine')
    """
    name = name if name in known() else name.removesuffix("_macro")
    return of(name).people or name


def is_synthetic(datasets) -> bool:
    """Whether any of the datasets' faces are generated: results on them are marked everywhere."""
    return any(name.split("/")[0].startswith("synthetic") for name in datasets)

"""Which module reads which dataset, and where its raw release lies. A dataset not named here has the plain layout."""

import difflib
import importlib
import types
from dataclasses import dataclass
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.clips import SAFE_NAME
from mer.datasets.rules import Reading


@dataclass(frozen=True)
class Release:
    """`variants`: which of several subsets or tables is read, the first is the default; `images`: raw or cropped."""

    module: str
    variants: tuple[str, ...] = ()
    images: bool = False


NAMES = {
    "synthetic": Release("plain"),
    "synthetic_macro": Release("plain"),
    "casme2": Release("casme2", ("auto", "2019", "2014"), images=True),
    "samm": Release("samm", images=True),
    "smic": Release("smic", ("hs", "vis", "nir", "hs_long", "vis_long", "nir_long"), images=True),
    "casme_sq": Release("casme_sq", images=True),
    "casme_sq_macro": Release("casme_sq", images=True),
    "casme3": Release("casme3", ("auto", "a_v2", "a_v1", "c")),
    "mmew": Release("mmew"),
    "mmew_macro": Release("mmew"),
    "affwild2": Release("affwild2", ("auto", "8", "7")),
    "dfew": Release("dfew"),
    "ferv39k": Release("ferv39k"),
    "afew": Release("afew"),
}


def check_name(name: str, raw: str | Path = "data/raw") -> None:
    """Raise MerError with the nearest known name when a dataset is neither known nor in plain layout under `raw`."""
    if name in NAMES or (SAFE_NAME.fullmatch(name) and (Path(raw) / name / "clips.csv").is_file()):
        return
    known = [*NAMES, *sorted(path.parent.name for path in Path(raw).glob("*/clips.csv"))]
    nearest = difflib.get_close_matches(name.lower(), known, 1, 0.5)
    raise MerError(f"datasets: '{name}' is not known" + (f"; did you mean '{nearest[0]}'?" if nearest else ";")
                   + f" Known are {', '.join(known)}; one of your own needs {Path(raw) / name / 'clips.csv'}")


def reader(name: str, raw: str | Path = "data/raw") -> types.ModuleType:
    """The module that reads a dataset, imported only now, since the workbook readers need further packages.

    Raises MerError as `check_name` does.
    """
    check_name(name, raw)
    return importlib.import_module(f"mer.datasets.readers.{NAMES[name].module if name in NAMES else 'plain'}")


def read(name: str, root: str | Path, *, images: str = "raw", variant: str | None = None) -> Reading:
    """Read the raw release of a dataset in `root`.

    Raises MerError when the folder is missing, `images` or `variant` is not one this release has, or the release
    cannot be read.
    """
    root = Path(root)
    release = NAMES.get(name, Release("plain"))
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
    return importlib.import_module(f"mer.datasets.readers.{release.module}").read(root, dataset=name, **options)


def is_synthetic(datasets) -> bool:
    """Whether any of the datasets' faces are generated: results on them are marked everywhere."""
    return any(name.split("/")[0].startswith("synthetic") for name in datasets)

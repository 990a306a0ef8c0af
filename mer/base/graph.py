"""What dvc.yaml says of a stage, and what its code truly reaches: the dependencies, and the key of a restart.

The code of a stage is what its module imports, directly or not, at the top or inside functions (read as text), and the
data files beside it. A module of a model is found by `importlib`, as in
`import_module(f"mer.models.{params.model}.task")`: the dependency is then the folder of the model that params.yaml
names (`mer/models/${model}`), or its config.py where no more is read. The configs of all models are read, but those of
the others only check their own sections. What the pages alone read of a folder is no part of it (.dvcignore) and is
named file by file.

A release's reader and label sets are code of no stage but `check`: it writes their hashes to data/check/readers/D.json,
which the index of dataset D depends on, with what any reader imports. Later stages have the label sets by the index.
"""

import ast
import functools
import hashlib
import json
import re
from pathlib import Path

from mer.base.knobs import read_yaml

ROOT = Path(__file__).parents[2]  # of the project's code
MODELS, MODEL = "mer/models", "mer/models/${model}"
PAGES = ("pictures.py", "paper.yaml")  # of a model's folder, see .dvcignore
LIGHT = ("config.py", "__init__.py")  # what alone is read of the models in general
DATA = {"mer/reporting/html.py": ["mer/reporting/page.css", "mer/reporting/page.js"],
        "mer/tables/rows.py": [f"{MODEL}/paper.yaml"]}
READERS = "mer/datasets/readers"
NAMED = {"stages/check.py": [READERS]}  # which tells the index stage of a dataset what reads it, data/check/readers


def closure(module: str, root: Path) -> set[str]:
    """Paths (posix, relative to `root`) of `module` and of all project modules it reaches, with their data files."""
    found = _reached(module, root, ())
    if module == "stages.index":
        readers = {f"{READERS.replace('/', '.')}.{path.stem}" for path in (root / READERS).glob("*.py")}
        found |= {path for name in readers for path in _reached(name, root, ()) if not path.startswith(f"{READERS}/")}
    chosen = {_of_model(path) for path in _reached(module, root, models(root)) - found}
    whole = {path for path in chosen if path.startswith(f"{MODEL}/")} - {f"{MODEL}/{name}" for name in (*PAGES, *LIGHT)}
    if whole:
        chosen = chosen - whole - {f"{MODEL}/{name}" for name in LIGHT} | {MODEL}
    extra = {file for path in found for file in DATA.get(path, []) + NAMED.get(path, [])}
    folders = tuple(f"{file}/" for file in extra if (root / file).is_dir())
    kept = {path for path in found if not path.startswith(folders)} if folders else found
    # an empty __init__.py cannot change what a stage does
    return {path for path in kept | chosen | extra if not path.endswith("__init__.py") or (
        path[:len(MODEL)] != MODEL and (root / path).stat().st_size)}


def files(module: str, root: Path, model: str) -> list[str]:
    """The files that `closure` stands for when params.yaml names `model`, in order; a folder of data by its files."""
    found = _reached(module, root, (model,))
    data = {file.replace("${model}", model) for path in found for file in DATA.get(path, [])}
    return sorted({path for path in found | data if not path.endswith("__init__.py") or (root / path).stat().st_size})


@functools.cache
def code(stage: str, model: str = "") -> str:
    """SHA-256 over the code of a stage (`flow`), for a restart's key; of what is no stage that of nothing."""
    total = hashlib.sha256()
    for path in files(f"stages.{stage}", ROOT, model):
        total.update(f"{path}\0".encode() + hashlib.sha256((ROOT / path).read_bytes()).digest())
    return total.hexdigest()


def _reached(module: str, root: Path, chosen: tuple[str, ...]) -> set[str]:
    """The files that `module` reaches, found by the run's model only for the models `chosen`."""
    found: set[str] = set()
    queue = [module]
    while queue:
        path = _file(queue.pop(), root)
        if path is None or path in found:
            continue
        found.add(path)
        package = Path(path).parent.as_posix().replace("/", ".")
        queue += [".".join(Path(p).parts) for p in Path(path).parents if p != Path(".")]  # package __init__ files
        names, wanted = _imports((root / path).read_text(encoding="utf-8"), package)
        queue += names
        queue += [f"mer.models.{model}.{name.rpartition('.')[2]}" for name in wanted for model in chosen]
    return found


@functools.cache
def _imports(text: str, package: str) -> tuple[list[str], list[str]]:
    """The names that a file of `package` imports, and those of models' modules that it finds by name."""
    names, wanted = [], []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or package
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.JoinedStr) and (name := by_name(node)):
            wanted.append(name)
    return names, wanted


def by_name(text: ast.JoinedStr) -> str | None:
    """`mer.models.${model}.task` of such an f-string in the code, `mer.models.*.task` where all models are meant."""
    words = "".join(("${model}" if ast.unparse(part.value).split(".")[-1] == "model" else "*")
                    if isinstance(part, ast.FormattedValue) else ast.literal_eval(part) for part in text.values)
    return words if re.fullmatch(r"mer\.models\.(\*|\$\{model\})\.\w+", words) else None


def models(root: Path) -> tuple[str, ...]:
    """The names of the models: of the folders with a config.py."""
    return tuple(sorted(path.parent.name for path in (root / MODELS).glob("*/config.py")))


def _of_model(path: str) -> str:
    folder, name = Path(path).parent.as_posix(), Path(path).name
    if not re.fullmatch(rf"{MODELS}/\w+", folder) or folder == f"{MODELS}/parts":
        return path
    return f"{MODEL}/{name}"


def _file(name: str, root: Path) -> str | None:
    if name.split(".")[0] not in ("mer", "stages"):
        return None
    for path in (Path(*name.split(".")).with_suffix(".py"), Path(*name.split("."), "__init__.py")):
        if (root / path).is_file():
            return path.as_posix()
    return None


def declared(stage: str) -> dict[str, list]:
    """What dvc.yaml (of the working folder, else of the project's code) declares of a stage: keys deps, params."""
    path = next(path for path in (Path("dvc.yaml"), ROOT / "dvc.yaml") if path.is_file())
    for entry in read_yaml(path)["stages"].values():
        entry = entry.get("do", entry)
        if entry["cmd"].split()[:3] == ["python", "-m", f"stages.{stage}"]:
            return entry
    raise KeyError(f"{path} has no stage {stage}")


def is_code(path: str) -> bool:
    """Whether a dependency in dvc.yaml is the project's own code."""
    return path.startswith(("mer/", "stages/"))


def inputs(stage: str, p, *, item: str = "", of: tuple[str, ...] | None = None,
           besides: tuple[str, ...] = ()) -> list[tuple[str, object]]:
    """(name, value) of the parameters that dvc.yaml declares of a stage, (path, SHA-256) of its data: for a key.

    Args:
        p: the parameters, with the stage's sections; what `profiles` fills in stands in them.
        item: the stage's dataset; of: the datasets whose part of a store with a folder per dataset is read, None = all.
        besides: parameters that only say which items there are, each of which is kept by itself, or how many at once.
    """
    told = declared(stage)
    names = [name if isinstance(name, str) else next(iter(name)) for name in told.get("params", [])]
    keys = [_filled(name, p, item) for name in names if name.split(".")[0] not in ("profile", "profiles")]
    found = [(key, _at(p, key)) for key in keys if key not in besides]
    for path in (Path(_filled(path, p, item)) for path in told["deps"] if not is_code(path)):
        parts = [path] if of is None or not path.is_dir() else sorted(
            part for part in path.iterdir() if part.name in of or not (part / "clips.csv").is_file())
        found += [(part.as_posix(), digest(part)) for part in parts if part.exists()]
    return found


def _filled(text: str, p, item: str) -> str:
    """A template of dvc.yaml with its names filled in."""
    return re.sub(r"\$\{([\w.]+)\}", lambda match: item if match[1] == "item" else str(_at(p, match[1])), text)


def _at(p, key: str) -> object:
    return functools.reduce(getattr, key.split("."), p)


def digest(*paths: str | Path) -> str:
    """SHA-256 over the contents of files and, for folders, over the contents of all files below in sorted order.

    Of a shard that the summary.json beside it tells of, that is enough: nothing of it is read. Who reads its arrays
    compares them (`store.refuse_other`).
    """
    total = hashlib.sha256()
    told = functools.cache(_told)
    for path in map(Path, paths):
        for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            total.update((file.relative_to(path).as_posix() if path.is_dir() else file.name).encode())
            if file.name in told(file.parent):
                continue
            with open(file, "rb") as handle:
                total.update(hashlib.file_digest(handle, "sha256").digest())
    return total.hexdigest()


def _told(folder: Path) -> set[str]:
    """The shards in a folder whose digests its summary.json, which `digest` reads as well, tells."""
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return set(summary.get("shards", ())) if isinstance(summary, dict) else set()

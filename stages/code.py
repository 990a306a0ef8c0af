"""`python -m stages.code`: the code that each stage depends on, written into dvc.yaml; `--check` only compares.

It is what the stage's module imports, directly or not, at the top or inside functions (read as text), and the data
files beside it. A module of the model that params.yaml names is found by `importlib`, as in
`import_module(f"mer.models.{params.model}.task")`: a name in braces that ends in `model` stands for the chosen model
alone, whose folder is then the dependency (`mer/models/${model}`); any other stands for all models. What the pages
alone read of a folder is no part of it (.dvcignore) and is named file by file.
"""

import argparse
import ast
import re
from pathlib import Path

from mer.base.errors import MerError, main

GRAPH = Path("dvc.yaml")
MODELS, MODEL = "mer/models", "mer/models/${model}"
PAGES = ("pictures.py", "paper.yaml")  # of a model's folder, see .dvcignore
DATA = {"mer/datasets/class_sets.py": ["mer/datasets/classes.yaml"],
        "mer/reporting/html.py": ["mer/reporting/page.css"],
        "mer/tables/fill.py": [f"{MODEL}/paper.yaml"]}
NAMED = {"stages/index.py": ["mer/datasets"]}  # the index stage imports the reader that params.yaml names


def closure(module: str, root: Path) -> set[str]:
    """Paths (posix, relative to `root`) of `module` and of all project modules it reaches, with their data files."""
    found = _reached(module, root, chosen=False)
    chosen = {_of_model(path) for path in _reached(module, root, chosen=True) - found}
    extra = {file for path in found for file in DATA.get(path, []) + NAMED.get(path, [])}
    folders = tuple(f"{file}/" for file in extra if (root / file).is_dir())
    kept = {path for path in found if not path.startswith(folders)} if folders else found
    # an empty __init__.py cannot change what a stage does
    return {path for path in kept | chosen | extra if not path.endswith("__init__.py") or (root / path).stat().st_size}


def _reached(module: str, root: Path, chosen: bool) -> set[str]:
    """The files that `module` reaches; with `chosen` also what it finds by the run's model, for every model."""
    found: set[str] = set()
    queue = [module]
    while queue:
        path = _file(queue.pop(), root)
        if path is None or path in found:
            continue
        found.add(path)
        package = Path(path).parent.as_posix().replace("/", ".")
        queue += [".".join(Path(p).parts) for p in Path(path).parents if p != Path(".")]  # package __init__ files
        for node in ast.walk(ast.parse((root / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                queue += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = node.module or package
                queue += [base, *(f"{base}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.JoinedStr) and (name := by_name(node)) and (chosen or "${model}" not in name):
                queue += [f"mer.models.{folder.name}.{name.rpartition('.')[2]}" for folder in models(root)]
    return found


def by_name(text: ast.JoinedStr) -> str | None:
    """`mer.models.${model}.task` of such an f-string in the code, `mer.models.*.task` where all models are meant."""
    words = "".join(part.value if isinstance(part, ast.Constant) else
                    "${model}" if ast.unparse(part.value).split(".")[-1] == "model" else "*" for part in text.values)
    return words if re.fullmatch(r"mer\.models\.(\*|\$\{model\})\.\w+", words) else None


def models(root: Path) -> list[Path]:
    """The folders of the models: those with a config.py."""
    return sorted(path.parent for path in (root / MODELS).glob("*/config.py"))


def _of_model(path: str) -> str:
    folder, name = Path(path).parent.as_posix(), Path(path).name
    if not re.fullmatch(rf"{MODELS}/\w+", folder) or folder == f"{MODELS}/parts":
        return path
    return f"{MODEL}/{name}" if name in PAGES else MODEL


def _file(name: str, root: Path) -> str | None:
    if name.split(".")[0] not in ("mer", "stages"):
        return None
    for path in (Path(*name.split(".")).with_suffix(".py"), Path(*name.split("."), "__init__.py")):
        if (root / path).is_file():
            return path.as_posix()
    return None


def is_code(path: str) -> bool:
    """Whether a dependency in dvc.yaml is the project's own code."""
    return path.startswith(("mer/", "stages/"))


def differences(graph: dict, root: Path) -> list[str]:
    """A line for each code dependency that a stage lacks or has too much; `graph` (of dvc.yaml) is set right."""
    told = []
    for name, entry in graph["stages"].items():
        stage = entry.get("do", entry)
        deps = stage["deps"]
        if any(deps is other for other in seen(graph, name)):
            continue  # the body of another stage, by a YAML anchor
        wanted = sorted(closure(re.search(r"stages\.\w+", stage["cmd"])[0], root))
        have = [path for path in deps if is_code(path)]
        told += [f"{name}: lacks {path}" for path in wanted if path not in have]
        told += [f"{name}: needs no {path}" for path in have if path not in wanted]
        if have != wanted:
            deps[:] = [*wanted, *(path for path in deps if not is_code(path))]
    return told


def seen(graph: dict, name: str) -> list:
    """The dependency lists of the stages before `name`."""
    stages = list(graph["stages"])
    return [graph["stages"][other].get("do", graph["stages"][other])["deps"] for other in stages[:stages.index(name)]]


def run() -> int:
    parser = argparse.ArgumentParser(prog="python -m stages.code", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 with a line for each difference")
    asked = parser.parse_args()
    from ruamel.yaml import YAML  # which comes with DVC, and keeps comments and anchors

    if not GRAPH.is_file():
        raise MerError(f"{GRAPH}: no such file; run the command in the project's root")
    yaml = YAML()
    yaml.width = 120
    graph = yaml.load(GRAPH.read_text(encoding="utf-8"))
    told = differences(graph, Path())
    print("\n".join([*told, f"{GRAPH}: {len(told)} differences"]))
    if told and not asked.check:
        yaml.dump(graph, GRAPH)
    return int(bool(told) and asked.check)


if __name__ == "__main__":
    main(run)

"""Which room of the house may import which: only from below, and nobody in a circle; read as text, functions too."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = (  # from the ground up: a module may import its own room and those before it
    ("base", r"mer\.base\..*"),
    ("datasets", r"mer\.datasets\.(?!__main__).*"),
    ("labels", r"mer\.labels\..*"),
    ("params", r"mer\.params"),
    ("evaluation", r"mer\.evaluation\..*"),
    ("training", r"mer\.training\..*"),
    ("parts", r"mer\.models\.parts\..*"),
    ("models", r"mer\.models\.(?!parts\.)\w+\.(?!pictures$).*"),
    ("runs", r"mer\.runs\..*"),
    ("tables", r"mer\.tables\.(?!__main__).*"),
    ("reporting", r"mer\.reporting\..*"),
    ("pictures", r"mer\.models\.\w+\.pictures"),
    ("commands", r"mer\.\w+|mer\.(datasets|tables)\.__main__"),
    ("stages", r"stages\.\w+"),
)
NAMES = [name for name, _ in ROOMS]
BY_HAND = {"stages.latents": "ma2mi"}  # the one script that is a model's own


def modules() -> dict[str, Path]:
    found = {".".join(path.relative_to(ROOT).with_suffix("").parts): path
             for folder in ("mer", "stages") for path in (ROOT / folder).rglob("*.py")}
    return {name: path for name, path in found.items() if not name.endswith("__init__")}


MODULES = modules()


def room(name: str) -> str:
    return next(room for room, pattern in ROOMS if re.fullmatch(pattern, name))


def model(name: str) -> str | None:
    """The model whose folder holds a module."""
    match = re.fullmatch(r"mer\.models\.(?!parts\.)(\w+)\..*", name)
    return match and match[1]


def imports(path: Path) -> set[str]:
    """The project's modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name in MODULES}


GRAPH = {name: imports(path) for name, path in MODULES.items()}


def upward(graph: dict[str, set[str]]) -> list[str]:
    return [f"{name} ({room(name)}) imports {other} ({room(other)})" for name in sorted(graph)
            for other in sorted(graph[name]) if NAMES.index(room(other)) > NAMES.index(room(name))]


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A circle of imports, [] if there is none."""
    done: set[str] = set()

    def walk(name: str, above: list[str]) -> list[str]:
        if name in above:
            return [*above[above.index(name):], name]
        if name not in done:
            for other in sorted(graph[name]):
                if found := walk(other, [*above, name]):
                    return found
            done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := walk(name, []))), [])


def test_every_module_has_a_room_and_every_room_has_modules():
    assert {room(name) for name in MODULES} == set(NAMES)


def test_no_import_runs_upward():
    assert upward(GRAPH) == []


def test_no_imports_run_in_a_circle():
    assert circle(GRAPH) == []


def test_a_model_is_imported_by_its_own_folder_alone():
    """All others find it by the name in params.yaml."""
    assert [f"{name} imports {other}" for name in sorted(GRAPH) for other in sorted(GRAPH[name])
            if model(other) and model(other) not in (model(name), BY_HAND.get(name))] == []


@pytest.mark.parametrize(("name", "other"), [
    ("mer.base.store", "mer.labels.records"), ("mer.labels.flow", "mer.params"),
    ("mer.training.task", "mer.models.mol.task"), ("mer.reporting.page", "mer.models.fdp.pictures"),
    ("mer.evaluation.results", "mer.reporting.page"), ("mer.tables.fill", "mer.tables.__main__")])
def test_a_wrong_import_is_seen(name, other):
    assert len(upward({name: {other}, other: set()})) == 1


def test_a_circle_is_seen():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_imports_in_functions_count():
    assert "mer.base.parallel" in GRAPH["mer.training.fleet"]


FOLDERS = sorted(path.parent.name for path in (ROOT / "mer/models").glob("*/config.py"))
WORD = re.compile(rf"(?<![a-z0-9])({'|'.join(FOLDERS)})(?![a-z0-9])", re.IGNORECASE)


def named(source: str) -> list[str]:
    """The models that code names: words of identifiers and of strings. Docstrings and comments may cite a paper."""
    found, tree = [], ast.parse(source)
    documents = {id(node.body[0].value) for node in ast.walk(tree)
                 if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body
                 and isinstance(node.body[0], ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in documents:
            continue
        texts = [value for _, value in ast.iter_fields(node) if isinstance(value, str)]
        found += [f"line {getattr(node, 'lineno', '?')}: {match[1]}" for text in texts
                  for match in WORD.finditer(text)]
    return found


def test_no_code_outside_of_a_models_folder_names_it():
    """What is a model's own is asked of its folder, which params.yaml, dvc.yaml and documents name."""
    assert {name: found for name, path in sorted(MODULES.items()) if model(name) is None and name not in BY_HAND
            and (found := named(path.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize("source", [f"{form}\n" for name in FOLDERS for form in (
    f"p.{name}.width", f"if p['model'] == '{name}': pass", f"replace(p, {name}=1)", f"p['{name}.t']",
    f"{name}_config = 1", f"import mer.models.{name}.task", f"def f(x={name.upper()!r}): 'words'",
    f"f'the model {name.upper()}'")])
def test_a_named_model_is_seen(source):
    assert named(source)


def test_the_working_folder_is_never_changed():
    """A run of another folder is read by its paths, so that two can be open at once."""
    assert [name for name, path in MODULES.items() if "chdir" in path.read_text(encoding="utf-8")] == []


def test_a_paper_may_be_cited():
    assert not any(named(f'"""{name}, Eq. 3."""\n\n\ndef f():\n    "as {name}"\n    # {name}\n') for name in FOLDERS)


def test_no_file_refers_to_a_document_that_is_not_here():
    outside = re.compile(r"\b(shared/|DESIGN\.md|house\.md|spec/\w+\.md|spec: \w+\.md)")
    kept = [path for folder in ("mer", "stages", "tests", "data", "reports", ".") for path in (
        (ROOT / folder).rglob("*") if folder in ("mer", "stages", "tests") else (ROOT / folder).glob("*.*"))
            if path.suffix in (".py", ".md", ".yaml", ".toml") and path != Path(__file__)]
    assert len(kept) > 200
    assert [path.name for path in kept if outside.search(path.read_text(encoding="utf-8"))] == []

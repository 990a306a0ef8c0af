"""dvc.yaml says truly what each stage depends on, code and parameters, and the code keeps its layout's promises."""

import ast
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from mer import params
from mer.base.graph import closure, inputs, models
from mer.base.knobs import Parallel

ROOT = Path(__file__).parents[1]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
STAGES = {name: entry.get("do", entry) for name, entry in GRAPH.items()}
PROFILES = [(model, profile, block) for model, blocks in PARAMS["profiles"].items()
            for profile, block in blocks.items()]
BARE = {"torch", "numpy", "h5py", "sklearn", "scipy"}  # what a bare GPU machine has
NO_RESULT = {"parallel", "profile"}  # one changes no number; the other only where it fills a stage's parameters


def module(stage: dict) -> str:
    return re.fullmatch(r"python -m (stages\.\w+)(?: \$\{item\})?", stage["cmd"])[1]


def file_of(name: str) -> Path | None:
    """The project file of a module, or None when it is somebody else's."""
    for path in (ROOT / f"{name.replace('.', '/')}.py", ROOT / name.replace(".", "/") / "__init__.py"):
        if name.split(".")[0] in ("mer", "stages") and path.is_file():
            return path
    return None


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def options(entries: list) -> dict[str, dict]:
    """Outputs, metrics or parameters, which are words or {word: options}."""
    return {name: value or {} for entry in entries
            for name, value in (entry.items() if isinstance(entry, dict) else [(entry, None)])}


def knobs(stage: dict) -> list[str]:
    """The parameters that a stage names, for every model and profile."""
    return list(dict.fromkeys(key.replace("${model}", model).replace("${profile}", profile)
                              for key in options(stage.get("params", [])) for model, profile, _ in PROFILES))


def covered(key: str, declared: list[str]) -> bool:
    """Whether `key` is a declared parameter, or inside a declared section, or the whole file is declared."""
    return "params.yaml" in declared or any(f"{key}.".startswith(f"{name}.") for name in declared)


def exists(key: str) -> bool:
    value = PARAMS
    for word in key.split("."):
        if not isinstance(value, dict) or word not in value:
            return False
        value = value[word]
    return True


def reads(path: Path, *roots: str) -> set[str]:
    """`train.crop` for every `p.train.crop` in a file, the roots being `p` and the like (`plan.params`)."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            text = ast.unparse(node)
            found |= {text.removeprefix(f"{root}.") for root in roots
                      if text.startswith(f"{root}.") and re.fullmatch(r"[\w.]+", text)}
    return {key for key in found if not any(other.startswith(f"{key}.") for other in found)}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_every_file_that_it_imports_and_on_no_other(name):
    stage = STAGES[name]
    declared = {path for path in stage["deps"] if path.startswith(("mer/", "stages/"))}
    assert declared == closure(module(stage), ROOT)
    assert [path for path in declared for model in models(ROOT)
            if not (ROOT / path.replace("${model}", model)).exists()] == []


@pytest.mark.parametrize("name", STAGES)
def test_the_parameters_of_a_stage_exist(name):
    assert [key for key in knobs(STAGES[name]) if key != "params.yaml" and not exists(key)] == []


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_the_parameters_that_it_reads(name):
    declared, script = knobs(STAGES[name]), file_of(module(STAGES[name]))
    read = reads(script, "p")
    if name == "train":  # its folds are given the whole of the parameters
        for path in closure("stages.train", ROOT):
            if path.startswith("mer/training/"):
                read |= reads(ROOT / path, "p", "params", "plan.params")
    assert [key for key in read if key.split(".")[0] not in NO_RESULT and not covered(key, declared)] == []


def test_where_the_data_lie_in_training_is_no_part_of_any_result_s_key():
    declared = {key for stage in STAGES.values() for key in options(stage.get("params", []))}
    assert "train" not in declared and "train.resident_gb" not in declared
    named = set(options(STAGES["train"]["params"]))
    assert {f"train.{key}" for key in PARAMS["train"]} - named == {"train.resident_gb"}


def test_where_a_run_is_worked_on_runs_no_stage_again_that_makes_a_result(monkeypatch, tmp_path):
    """Only `check`, which passes the same file on, and the page name the whole of params.yaml."""
    assert {name for name, stage in STAGES.items() if covered("parallel.cluster", knobs(stage))} == {"check", "report"}
    monkeypatch.chdir(ROOT)
    p = params.load()
    other = replace(p, parallel=Parallel(7, "dask", "slurm", ("cpu", "cpu")))
    for name in ("flow", "pretrain", "train", "latents"):
        assert inputs(name, p, item="none", of=()) == inputs(name, other, item="none", of=())


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_the_profile_that_fills_its_parameters(name):
    declared = knobs(STAGES[name])
    for model, profile, block in PROFILES:
        for section, value in block.items():
            for key in [f"{section}.{word}" for word in value] if isinstance(value, dict) else [section]:
                assert covered(f"profiles.{model}.{profile}.{key}", declared) or not covered(key, declared), key
    # what a section of a profile that is like paper does not say, that of paper says
    templates = options(STAGES[name].get("params", []))
    assert {key.replace("${profile}", "paper") for key in templates if key.endswith(("lr", "lambda_f", "lambda_m")) < (
        "${profile}" in key)} <= set(templates)


def test_every_stage_is_in_the_graph_and_every_script_is_short():
    scripts = {path.stem: path for path in (ROOT / "stages").glob("*.py") if path.stem not in ("__init__", "code")}
    assert {module(stage) for stage in STAGES.values()} == {f"stages.{name}" for name in scripts}
    assert {name: n for name, path in scripts.items() if (n := len(path.read_text().splitlines())) >= 60} == {}


def test_what_git_shall_keep_is_not_ignored_and_the_rest_is():
    """Small results stand in Git, so that `dvc metrics diff` finds the last commit's; data stand in DVC's cache."""
    for stage in STAGES.values():
        for path, option in options(stage.get("outs", []) + stage.get("metrics", [])).items():
            file = path if Path(path).suffix else f"{path}/a.h5"
            ignored = subprocess.run(["git", "check-ignore", "--quiet", "--no-index", file], cwd=ROOT).returncode == 0
            assert ignored == option.get("cache", True), path


def test_only_the_last_cheap_stages_give_up_the_run_cache():
    """An output with `cache: false` makes a stage run again when a parameter is set back."""
    without = {name for name, stage in STAGES.items()
               if not all(option.get("cache", True) for option in options(stage.get("outs", [])
                                                                          + stage.get("metrics", [])).values())}
    assert without == {"quality", "evaluate", "report"}


def imported_at_the_top(name: str) -> set[str]:
    """Modules that importing `name` imports: its own and its packages' statements outside functions."""
    found, queue = set(), [node for part in parents(name) for node in tree(file_of(part)).body if file_of(part)]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {node.module} | {full for full in inner if file_of(full)}
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            queue += ast.iter_child_nodes(node)
    return found


def parents(name: str) -> list[str]:
    words = name.split(".")
    return [".".join(words[:n]) for n in range(1, len(words) + 1)]


@pytest.mark.parametrize("package", ["mer/models", "mer/training"])
def test_models_and_training_need_only_a_bare_gpu_machine(package):
    queue = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / package).rglob("*.py")
             if path.stem != "pictures"]
    seen, foreign = set(), {}
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        for other in imported_at_the_top(name.removesuffix(".__init__")):
            if other.split(".")[0] in ("mer", "stages"):
                queue.append(other)
            elif other.split(".")[0] not in BARE | sys.stdlib_module_names:
                foreign.setdefault(other, name)
    assert len(seen) > 8 and foreign == {}


def test_an_import_in_a_function_is_not_one_at_the_top():
    assert "yaml" not in imported_at_the_top("mer.params")  # it is imported when parameters are read
    assert {"numpy", "mer.labels", "mer.labels.records"} <= imported_at_the_top("mer.models.ma2mi.encoding")

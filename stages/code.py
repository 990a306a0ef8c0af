"""`python -m stages.code`: the code that each stage depends on, written into dvc.yaml; `--check` only compares.

What is a stage's code, mer/base/graph.py says.
"""

import argparse
import re
from pathlib import Path

from mer.base.errors import MerError, main
from mer.base.graph import closure, is_code

GRAPH = Path("dvc.yaml")


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
    """Write dvc.yaml, or with --check compare: 1 if anything differs, else 0."""
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

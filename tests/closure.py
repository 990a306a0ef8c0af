"""The project's own files that a module imports, directly or not, at the top or inside functions (read as text)."""

import ast
from pathlib import Path

DATA = {"mer/datasets/labels.py": ["mer/datasets/classes.yaml"], "mer/reporting/page.py": ["mer/reporting/page.css"],
        "mer/reporting/tables.py": ["mer/reporting/papers"]}
DYNAMIC = {"stages/index.py": ["mer/datasets"]}  # the index stage imports the reader that params.yaml names


def closure(module: str, root: Path) -> set[str]:
    """Paths (posix, relative to `root`) of `module` and of all project modules it reaches, with their data files."""
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
    extra = {file for path in found for file in DATA.get(path, []) + DYNAMIC.get(path, [])}
    folders = tuple(f"{file}/" for file in extra if (root / file).is_dir())
    kept = {path for path in found if not path.startswith(folders)} if folders else found
    # an empty __init__.py cannot change what a stage does
    return {path for path in kept | extra if not path.endswith("__init__.py") or (root / path).stat().st_size}


def _file(name: str, root: Path) -> str | None:
    if name.split(".")[0] not in ("mer", "stages"):
        return None
    for path in (Path(*name.split(".")).with_suffix(".py"), Path(*name.split("."), "__init__.py")):
        if (root / path).is_file():
            return path.as_posix()
    return None

"""The head of the page: which run this is, what made it, where its numbers lie.

No date and no commit: the page is made before the commit that keeps it, and the same run gives the same bytes.
"""

import hashlib
from html import escape
from pathlib import Path

import mer
from mer.base import cost
from mer.datasets import lists
from mer.reporting import html, sections

FILES = ("reports/predictions.csv", "reports/metrics.json", "reports/details.json", "reports/quality.json",
         "params.yaml", "dvc.lock")
SHOWN = ("torch", "opencv-contrib-python", "numpy")  # the versions that say most; all are below


def section(run: dict, parameters: dict, reports: Path) -> str:
    """The rows; a file is linked if it is there. `run`: data/folds/summary.json."""
    versions = sections.recorded_versions(reports).values()
    made = [f"{package} {version}" for package in SHOWN
            for version in dict.fromkeys(one[package] for one in versions if one.get(package))]
    records = cost.read(reports / cost.RECORDS.name)
    machines = dict.fromkeys(record["machine"] for record in records.values())
    seconds = sum(record["seconds"] for record in records.values())
    told = [("experiment", f"{run['model']}, profile {parameters['profile']}, label set {parameters['classes']}, "
                           f"seed{'s' if len(run['seeds']) > 1 else ''} {', '.join(map(str, run['seeds']))}"),
            ("data", f"{' + '.join(run['datasets'])}; list of clips {run['list'][:lists.SHORT]}"),
            ("versions", ", ".join([f"mer {mer.__version__}", *made])),
            ("hardware", "; ".join(machines)), ("duration", f"{seconds / 60:.1f} minutes" if records else ""),
            ("predictions", f"SHA-256 {hashlib.sha256((reports / 'predictions.csv').read_bytes()).hexdigest()[:16]}")]
    files = [Path(name) for name in FILES if name == "dvc.lock" or (reports.parent / name).is_file()]
    tables = sorted((Path("reports/tables") / path.name for path in (reports / "tables").glob("*.md")),
                    key=lambda path: (len(path.stem), path.stem))
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(words)}</dd></div>" for name, words in told if words)
    links = "".join(f"<div><dt>{name}</dt><dd>{', '.join(map(_link, paths))}</dd></div>"
                    for name, paths in (("files", files), ("tables", tables)) if paths)
    return (f'<dl class="identity">{rows}{links}</dl>' + html.paragraph(
        "Date and commit are those of dvc.lock: git log -1 -- dvc.lock", "quiet"))


def _link(path: Path) -> str:
    """A link from reports/index.html; a table goes by its name."""
    there = path.relative_to("reports") if path.parts[0] == "reports" else Path("..") / path
    return f'<a href="{there.as_posix()}">{escape(path.stem if path.suffix == ".md" else path.name)}</a>'

"""report: the run's numbers -> reports/tables/*.md, the paper's tables filled, reports/index.html and costs.json."""

import shutil
from dataclasses import asdict
from pathlib import Path

from mer import params
from mer.base import cost, knobs, store
from mer.base.errors import main
from mer.evaluation import results
from mer.reporting import page
from mer.runs import collect
from mer.tables import fill, formats, rows

DATA, REPORTS = Path("data"), Path("reports")


def run() -> None:
    """Write what the head of this file names; a wrong params.yaml is a MerError before any work."""
    p = params.load()
    this = collect.run_of(p, results.read(REPORTS))
    book = rows.paper(p.model)
    filled = [fill.fill(book, name, [this]) for name in book["tables"]]
    shutil.rmtree(REPORTS / "tables", ignore_errors=True)
    for table in filled:
        store.write_text(REPORTS / "tables" / f"{table.name}.md", formats.markdown(table))
    store.write_json(REPORTS / cost.RECORDS.name, cost.collect([*p.datasets, *p.pretrain.sources], DATA))
    raw = knobs.read_yaml(Path("params.yaml"))
    usual = knobs.flatten(knobs.profile(raw["profiles"], p.model, p.profile))
    text = page.build(asdict(p), DATA, REPORTS, fill.main_tables(filled), usual)
    store.write_text(REPORTS / "index.html", text)
    told = {words: [t.name for t in filled if count(t)] for words, count in (
        ("is a row of", lambda t: t.filled + t.elsewhere), ("is a variant of rows of", lambda t: t.variants))}
    words = ", ".join(f"{word} {', '.join(names)}" for word, names in told.items() if names) or "is a row of no table"
    print(f"report: this run {words}; open {(REPORTS / 'index.html').as_posix()}")


if __name__ == "__main__":
    main(run)

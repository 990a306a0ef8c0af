"""The page's section of what the run cost, by stage (mer/base/cost.py)."""

from pathlib import Path

from mer.base import cost
from mer.reporting import html

COLUMNS = (  # keys of a record, what they are
    ("seconds", "seconds"), ("memory_mb", "memory, MB"), ("worker_memory_mb", "largest worker, MB"),
    ("gpu_mb", "GPU, MB"), ("worker_gpu_mb", "GPU, largest worker, MB"), ("steps", "steps"),
    ("steps_per_second", "steps per second"))


def section(reports: Path) -> str:
    """One row a stage, and their sum; empty where nothing is known."""
    records = cost.read(reports / cost.RECORDS.name)
    shown = [(key, words) for key, words in COLUMNS if any(key in record for record in records.values())]
    rows = [(name, *(_cell(record.get(key)) for key, _ in shown), record["machine"] + (
        "; continued" if record.get("continued") else "")) for name, record in records.items()]
    if not rows:
        return ""
    total = sum(record["seconds"] for record in records.values())
    largest = max((size for record in records.values() if (size := cost.peak_mb(record))), default=None)
    told = f"Together {total / 60:.1f} minutes" + (f"; no process needed more than {largest} MB." if largest else ".")
    if any(record.get("continued") for record in records.values()):
        told += (" Continued: what an interrupted run, or one of other seeds, had finished was re-used; its time does "
                 "not count.")
    return html.section("cost", "What it cost", html.grid(
        "Each stage, when its products were first made", ("stage", *(words for _, words in shown), "machine"), rows),
        html.paragraph(f"{told} Seconds are those of the stage's process, memory the most that it, and the largest of "
                       "its workers, held at once; steps are of all networks, their rate with reading, testing and "
                       "writing. Checking, label quality, evaluation and this page are not counted.", "quiet"))


def _cell(value: float | None) -> str:
    return "" if value is None else str(value)  # rounded when it was measured

"""Faults at random moments and places over all stages and commands of a miniature, as long as you like:

    python tests/faults/campaign.py --kind signals kills full damage --seed 0 --minutes 30 --log faults.jsonl
    python tests/faults/campaign.py --table faults.jsonl

Full disks are real small file systems, for which one must be root. Each trial is a line of the log; the table sums
them.
"""

import argparse
import collections
import json
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
import damages  # noqa: E402
import trials  # noqa: E402
from victims import Project  # noqa: E402

KINDS = {**trials.KINDS, **damages.KINDS}


def table(rows: list[dict]) -> str:
    """Markdown: a row a fault."""
    by = collections.defaultdict(list)
    for row in rows:
        by[row["fault"]].append(row)
    lines = ["| fault | times | lost work (share of a run, mean) | result |", "|---|---|---|---|"]
    for fault, mine in sorted(by.items()):
        results = collections.Counter(row["result"] if not row["problem"] else "PROBLEM" for row in mine)
        lost = [row["lost"] for row in mine if row["lost"]]
        lines.append(f"| {fault} | {len(mine)} | {sum(lost) / len(lost):.2f} | " if lost else
                     f"| {fault} | {len(mine)} | none | ")
        lines[-1] += "; ".join(f"{count} {word}" for word, count in results.most_common()) + " |"
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--times", type=int, default=10**9, help="trials of each kind at most")
    parser.add_argument("--minutes", type=float, default=10.0, help="then no other trial begins")
    parser.add_argument("--base", type=Path, help="where the miniature is made, or lies finished")
    parser.add_argument("--log", type=Path, default=Path("faults.jsonl"))
    parser.add_argument("--table", type=Path, nargs="+", help="print the table of logs, and try nothing")
    asked = parser.parse_args()
    if asked.table:
        print(table([json.loads(line) for path in asked.table for line in path.read_text().splitlines()]))
        return 0
    project = Project(asked.base or Path(tempfile.mkdtemp(prefix="faults")))
    draw, began, bad = random.Random(asked.seed), time.monotonic(), 0
    for number in range(asked.times):
        for kind in asked.kind:
            if time.monotonic() - began > 60 * asked.minutes:
                return bad
            trial = KINDS[kind](project, draw)
            with open(asked.log, "a", encoding="utf-8") as file:
                file.write(json.dumps(trial.plain()) + "\n")
            bad += bool(trial.problem)
            print(f"{number} {trial.fault}, {trial.what}: {trial.result} {trial.problem}", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(min(main(), 1))

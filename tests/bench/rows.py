"""What all benchmarks share with `mer bench`: their sizes, and the last line of their output, a JSON list of rows.

`ratio` is the other arm's number by ours (of a rate: ours by the other's), of rounds in turns in one run. `goal` is
`ratio >= 5` or `ours <= 20`; at the sizes of --quick there is none. `floor`, in the unit of ours, is what physics
leaves, `floor_is` how that was found.
"""

import argparse
import json
import sys

GOALS_ON = ("H100", "H200")  # the goals of GPU parts in ms are for these, whose arithmetic units are the same


def parse(parser: argparse.ArgumentParser, quick: dict | None = None, cuda: dict | None = None) -> argparse.Namespace:
    """The options, with those of every benchmark; quick, cuda: defaults with --quick, and with --device cuda."""
    parser.add_argument("--json", action="store_true", help="as the last line the rows that `mer bench` reads")
    if quick is not None:
        parser.add_argument("--quick", action="store_true", help="seconds: whether it works, no figure to quote")
    if cuda is not None:
        parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1; on a GPU the default sizes are for one")
    asked, _ = parser.parse_known_args()
    if on_gpu(asked):
        import torch

        if not torch.cuda.is_available():
            sys.exit(f"--device {asked.device}: torch sees no GPU here")
        parser.set_defaults(**cuda)
    if getattr(asked, "quick", False):
        parser.set_defaults(**quick)
    return parser.parse_args()


def on_gpu(args: argparse.Namespace) -> bool:
    return getattr(args, "device", "cpu").startswith("cuda")


def row(what: str, ours: float, unit: str, *, other: float | None = None, against: str = "",
        ratio: float | None = None, goal: str = "", floor: float | None = None, floor_is: str = "") -> dict:
    return {"what": what, "ours": ours, "unit": unit, "other": other, "against": against, "ratio": ratio,
            "goal": goal, "floor": floor, "floor_is": floor_is}


def emit(args: argparse.Namespace, *rows: dict) -> None:
    """Print the rows as the last line, if asked to."""
    if args.json:
        print(json.dumps([{**one, "goal": ""} if getattr(args, "quick", False) else one for one in rows]), flush=True)

"""Time of a training step of MOL (forward and backward), beside the paper written out pair by pair.

    python tests/bench/mol_step.py                                    # CPU, one thread, process time, batch 4
    python tests/bench/mol_step.py --device cuda --no-reference       # batch 32, bf16, 20 rounds

Rounds of the two are interleaved and medians reported, so that a busy machine disturbs both. On a GPU the time is the
device's, between events. The number of operations depends on neither machine nor batch.
"""

import argparse
import statistics
import sys
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench import rows, steps  # noqa: E402
from models.mol import mol_reference  # noqa: E402

from mer.models.mol.config import TASKS, Config  # noqa: E402
from mer.models.mol.network import MOL  # noqa: E402

NO_WORK = ("detach", "alias", "_unsafe_view", "empty", "empty_like", "new_empty")


class _Counter(TorchDispatchMode):
    """Counts operations that do work: not views, not bare allocations."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += not (func.is_view or func.overloadpacket.__name__ in NO_WORK)
        return func(*args, **(kwargs or {}))


def total(outputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """A scalar that every output takes part in."""
    return sum(value.float().square().mean() for value in outputs.values())


def count_operations(model: MOL, frames: torch.Tensor, pairs: torch.Tensor | None = None) -> int:
    """Operations of one forward and backward pass of `model` that are no views."""
    with _Counter() as counter:
        total(model(frames, pairs)).backward()
    return counter.count


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--t", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=0, help="random flow pairs per clip; 0 = all t - 1")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--reference", action=argparse.BooleanOptionalAction, default=True)
    steps.options(parser)
    return rows.parse(parser, quick={"width": 0.0625, "batch": 2, "rounds": 1},
                      cuda={"batch": 32, "dtype": "bf16", "rounds": 20})


def main() -> None:
    args = arguments()
    steps.prepare(args)
    model = MOL(Config(width=args.width, t=args.t, dropout=0.0, tasks=tuple(args.tasks.split(","))), 5)
    model.to(args.device)
    frames = torch.rand(args.batch, args.t, 1, 128, 128, device=args.device)
    pairs = torch.randint(args.t - 1, (args.batch, args.pairs), device=args.device) if args.pairs else None
    now = steps.timer(args.device)
    times = {"forward": [], "backward": [], "step": [], "reference step": []}

    def step() -> dict[str, torch.Tensor]:
        started = now()
        with torch.autocast(args.device.split(":")[0], torch.bfloat16, enabled=args.dtype == "bf16"):
            outputs = model(frames, pairs)
        loss = total(outputs)
        middle = now()
        model.zero_grad(set_to_none=True)
        loss.backward()
        ended = now()
        for name, seconds in (("forward", middle - started), ("backward", ended - middle), ("step", ended - started)):
            times[name].append(seconds)
        return outputs

    def reference_step() -> dict[str, torch.Tensor]:
        started = now()
        outputs, _ = mol_reference.mol(model, frames)
        loss = total(outputs)
        model.zero_grad(set_to_none=True)
        loss.backward()
        times["reference step"].append(now() - started)
        return outputs

    with FlopCounterMode(display=False) as flop:
        operations = count_operations(model, frames, pairs)
    step()
    for values in times.values():
        values.clear()
    for _ in steps.rounds(args):
        outputs = step()
        if args.reference:
            expected = reference_step()
    print(f"{steps.where(args)}; torch {torch.__version__}; {vars(args)}")
    print(f"operations per step: {operations}")
    for name, values in times.items():
        if values:
            print(f"{name}: {statistics.median(values) * 1e3:.1f} ms (median of {len(values)})")
    if args.reference:
        print(f"ratio: {statistics.median(times['reference step']) / statistics.median(times['step']):.2f}")
        if pairs is None:
            for name, value in expected.items():
                error = (outputs[name] - value).abs().max() / value.abs().max()
                print(f"largest relative difference of {name}: {error.item():.1e}")
    if args.device.startswith("cuda"):
        print(f"peak memory: {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")
    ours, theirs = (1e3 * statistics.median(spent) if spent else None
                    for spent in (times["step"], times["reference step"]))
    compared = {"other": theirs, "against": "the paper pair by pair, fp32 (for the authors' code)",
                "ratio": theirs / ours} if theirs else {}
    most = {"bf16": "ours <= 15", "tf32": "ours <= 30"}.get(args.dtype, "") if args.batch == 32 else ""
    rows.emit(args, rows.row(f"MOL, a step of {args.batch} clips, {args.dtype}", ours, "ms", **compared,
                             goal=steps.goal(args, "ratio >= 3" if compared else "", most),
                             floor=steps.floor_ms(args, flop.get_total_flops()), floor_is=steps.FLOOR_IS),
              rows.row("MOL, operations of a step", operations, "operations", goal="ours <= 1100"))


if __name__ == "__main__":
    main()

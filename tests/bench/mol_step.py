"""Time of a training step of MOL (forward and backward), beside the paper written out pair by pair.

    python tests/bench/mol_step.py                                    # CPU, one thread, process time, batch 4
    python tests/bench/mol_step.py --device cuda --batch 32 --dtype bf16 --rounds 20 --no-reference

Rounds of the two are interleaved and medians reported, so that a busy machine disturbs both. On a GPU the time is the
device's, between events. The number of operations depends on neither machine nor batch.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic products on a GPU ask for

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

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
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--t", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=0, help="random flow pairs per clip; 0 = all t - 1")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--dtype", choices=("fp32", "tf32", "bf16"), default="fp32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--deterministic", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--reference", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


def timer(device: str):
    """A function that returns seconds so far: process time of the CPU, or the GPU's clock after it has caught up."""
    if not device.startswith("cuda"):
        return time.process_time

    def now() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return now


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(args.deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.dtype != "fp32"
    torch.manual_seed(0)
    model = MOL(Config(width=args.width, t=args.t, dropout=0.0, tasks=tuple(args.tasks.split(","))), 5)
    model.to(args.device)
    frames = torch.rand(args.batch, args.t, 1, 128, 128, device=args.device)
    pairs = torch.randint(args.t - 1, (args.batch, args.pairs), device=args.device) if args.pairs else None
    now = timer(args.device)
    rows = {"forward": [], "backward": [], "step": [], "reference step": []}

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
            rows[name].append(seconds)
        return outputs

    def reference_step() -> dict[str, torch.Tensor]:
        started = now()
        outputs, _ = mol_reference.mol(model, frames)
        loss = total(outputs)
        model.zero_grad(set_to_none=True)
        loss.backward()
        rows["reference step"].append(now() - started)
        return outputs

    operations = count_operations(model, frames, pairs)
    step()
    for values in rows.values():
        values.clear()
    for _ in range(args.rounds):
        outputs = step()
        if args.reference:
            expected = reference_step()
    where = torch.cuda.get_device_name() if args.device.startswith("cuda") else f"cpu, {args.threads} thread"
    print(f"{where}; torch {torch.__version__}; {vars(args)}")
    print(f"operations per step: {operations}")
    for name, values in rows.items():
        if values:
            print(f"{name}: {statistics.median(values) * 1e3:.1f} ms (median of {len(values)})")
    if args.reference:
        print(f"ratio: {statistics.median(rows['reference step']) / statistics.median(rows['step']):.2f}")
        if pairs is None:
            for name, value in expected.items():
                error = (outputs[name] - value).abs().max() / value.abs().max()
                print(f"largest relative difference of {name}: {error.item():.1e}")
    if args.device.startswith("cuda"):
        print(f"peak memory: {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()

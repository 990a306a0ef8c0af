"""Time of a training step of FDP (forward, losses and backward), beside the operations of the released code.

    python tests/bench/fdp_step.py                                    # CPU, one thread, process time, batch 4
    python tests/bench/fdp_step.py --device cuda --no-reference       # batch 36, bf16, 20 rounds

Two networks: the paper's, and the released one (no attention, dense convolutions, SegNet). The other arm is
tests/models/fdp/fdp_released.py, the backbone frame by frame. For the released network ours is the same function
(`frame_fold: loop`); for the paper's ours takes batch statistics over all frames, as in a run, which is another
function. Rounds are interleaved and medians reported, so that a busy machine disturbs both. On a GPU the time is the
device's. The number of operations depends on neither machine nor batch.
"""

import argparse
import statistics
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench import rows, steps  # noqa: E402
from models.fdp.fdp_released import released_form  # noqa: E402

from mer.models.fdp.config import STAGES, TASKS, Config  # noqa: E402
from mer.models.fdp.losses import fdp_losses  # noqa: E402
from mer.models.fdp.network import FDP  # noqa: E402

WEIGHTS = {"mer": 1.0, "dynamic": 100.0, "rank": 0.1}  # section 4.1.3
RELEASED = {"n_local": (3, 4, 10, 3), "n_global": (0,) * STAGES, "mhc": "conv", "dic": "segnet",
            "official_reshape": True, "tasks": ("mer", "dynamic")}
NO_WORK = ("detach", "alias", "_unsafe_view", "empty", "empty_like", "new_empty")


class _Counter(TorchDispatchMode):
    """Counts operations that do work, that is no views and no bare allocations, and all operations."""

    def __init__(self):
        super().__init__()
        self.work = self.every = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.every += 1
        self.work += not (func.is_view or func.overloadpacket.__name__ in NO_WORK)
        return func(*args, **(kwargs or {}))


def clips(batch: int, t: int, device: str = "cpu") -> SimpleNamespace:
    """Random frames (B, t, 1, 64, 64) and labels (B,) of 5 classes."""
    frames = torch.rand(batch, t, 1, 64, 64).to(device)
    return SimpleNamespace(frames=frames, label=torch.arange(batch, device=device) % 5)


def total(terms: dict[str, torch.Tensor]) -> torch.Tensor:
    return sum(WEIGHTS[name] * term for name, term in terms.items())


def count_operations(model: FDP, batch: SimpleNamespace) -> tuple[int, int]:
    """Operations of one forward and backward pass with losses: those that do work, and all with views."""
    with _Counter() as counter:
        total(fdp_losses(model(batch.frames), batch, model.cfg)).backward()
    return counter.work, counter.every


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--global-blocks", type=int, default=1, help="of each stage; Table 10 prints the sizes of 0")
    parser.add_argument("--network", choices=("paper", "released", "both"), default="both")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--reference", action=argparse.BooleanOptionalAction, default=True)
    steps.options(parser)
    return rows.parse(parser, quick={"width": 0.0625, "batch": 2, "rounds": 1},
                      cuda={"batch": 36, "dtype": "bf16", "rounds": 20})


def measure(args: argparse.Namespace, network: str) -> list[dict]:
    # stochastic depth off: it only draws, and the compared networks would draw differently
    changes = {"width": args.width, "tasks": tuple(args.tasks.split(",")), "drop_path": 0.0,
               "n_global": (args.global_blocks,) * STAGES}
    if network == "released":
        changes |= {**RELEASED, "frame_fold": "loop"}
    cfg = Config(**changes)
    model = FDP(cfg, 5).to(args.device)
    arms = {"step": model, **({"released operations": released_form(model)} if args.reference else {})}
    batch, now = clips(args.batch, cfg.t, args.device), steps.timer(args.device)
    times = {name: [] for name in ("forward", "backward", *arms)}
    with FlopCounterMode(display=False) as flop:
        work, every = count_operations(model, batch)

    def step(name: str) -> dict[str, torch.Tensor]:
        started = now()
        with torch.autocast(args.device.split(":")[0], torch.bfloat16, enabled=args.dtype == "bf16"):
            outputs = arms[name](batch.frames)
        loss = total(fdp_losses(outputs, batch, cfg))
        middle = now()
        arms[name].zero_grad(set_to_none=True)
        loss.backward()
        ended = now()
        times[name].append(ended - started)
        if name == "step":
            times["forward"].append(middle - started)
            times["backward"].append(ended - middle)
        return outputs

    found = {name: step(name) for name in arms}
    for values in times.values():  # they were to warm up
        values.clear()
    for _ in steps.rounds(args):
        for name in arms:
            step(name)
    medians = {name: 1e3 * statistics.median(values) for name, values in times.items()}
    print(f"{network}: operations per step: {work} (with views and allocations {every}); "
          + ", ".join(f"{name} {value:.1f} ms" for name, value in medians.items()) + f"; rounds: {len(times['step'])}")
    ours, theirs = medians["step"], medians.get("released operations")
    if theirs:
        same = {name: f"{(value - found['step'][name]).abs().max() / value.abs().max():.1e}"
                for name, value in found["released operations"].items()}
        print(f"{network}: ratio {theirs / ours:.2f}"
              + f"; largest relative differences of the outputs: {same}" * (network == "released"))
    if args.device.startswith("cuda"):
        print(f"peak memory: {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")
    compared = {"other": theirs, "against": "the released code's operations, frame by frame",
                "ratio": theirs / ours} if theirs else {}
    most = "ours <= 10" if args.batch == 36 and network == "paper" else ""
    of = "FDP" if network == "paper" else "FDP's released network"
    return [rows.row(f"{of}, a step of {args.batch} clips, {args.dtype}", ours, "ms", **compared,
                     goal=steps.goal(args, "ratio >= 1.8" if compared else "", most),
                     floor=steps.floor_ms(args, flop.get_total_flops()), floor_is=steps.FLOOR_IS),
            rows.row(f"{of}, operations of a step", work, "operations",
                     goal="ours <= 2000" if network == "paper" else "")]


def main() -> None:
    args = arguments()
    steps.prepare(args)
    print(f"{steps.where(args)}; torch {torch.__version__}; {vars(args)}")
    networks = ("paper", "released") if args.network == "both" else (args.network,)
    rows.emit(args, *(row for network in networks for row in measure(args, network)))


if __name__ == "__main__":
    main()

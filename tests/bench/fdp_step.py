"""Time of a training step of FDP (forward, losses and backward), beside the same network frame by frame.

    python tests/bench/fdp_step.py                                    # CPU, one thread, process time, batch 4
    python tests/bench/fdp_step.py --device cuda --no-reference       # batch 36, bf16, 20 rounds

`reference` is tests/models/fdp/fdp_reference.py: the frames' numbers one after the other in every layer, batch norm
over all. `loop` is this network with `frame_fold: loop`: the whole backbone frame by frame, as in the released code,
which is another function because of batch norm. Rounds are interleaved and medians reported, so that a busy machine
disturbs all. On a GPU the time is the device's. The number of operations depends on neither machine nor batch.
"""

import argparse
import dataclasses
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
from models.fdp import fdp_reference  # noqa: E402

from mer.models.fdp.config import STAGES, TASKS, Config  # noqa: E402
from mer.models.fdp.losses import fdp_losses  # noqa: E402
from mer.models.fdp.network import FDP  # noqa: E402

WEIGHTS = {"mer": 1.0, "dynamic": 100.0, "rank": 0.1}  # section 4.1.3
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
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--reference", action=argparse.BooleanOptionalAction, default=True)
    steps.options(parser)
    return rows.parse(parser, quick={"width": 0.0625, "batch": 2, "rounds": 1},
                      cuda={"batch": 36, "dtype": "bf16", "rounds": 20})


def main() -> None:
    args = arguments()
    steps.prepare(args)
    # stochastic depth off: it only draws, and the compared networks would draw differently
    changes = {"width": args.width, "tasks": tuple(args.tasks.split(",")), "drop_path": 0.0,
               "n_global": (args.global_blocks,) * STAGES}
    cfg = Config(**changes)
    model = FDP(cfg, 5).to(args.device)
    looped = FDP(dataclasses.replace(cfg, frame_fold="loop"), 5).to(args.device)
    looped.load_state_dict(model.state_dict())
    batch = clips(args.batch, cfg.t, args.device)
    now = steps.timer(args.device)
    times = {"forward": [], "backward": [], "step": [], "reference step": [], "loop step": []}

    def step(network: FDP, forward, name: str) -> dict[str, torch.Tensor]:
        started = now()
        with torch.autocast(args.device.split(":")[0], torch.bfloat16, enabled=args.dtype == "bf16"):
            outputs = forward(batch.frames)
        loss = total(fdp_losses(outputs, batch, cfg))
        middle = now()
        network.zero_grad(set_to_none=True)
        loss.backward()
        ended = now()
        times[name].append(ended - started)
        if name == "step":
            times["forward"].append(middle - started)
            times["backward"].append(ended - middle)
        return outputs

    with FlopCounterMode(display=False) as flop:
        work, every = count_operations(model, batch)
    step(model, model, "step")
    step(looped, looped, "loop step")
    for values in times.values():  # they were to warm up
        values.clear()
    for _ in steps.rounds(args):
        outputs = step(model, model, "step")
        if args.reference:
            expected = step(model, lambda frames: fdp_reference.fdp(model, frames)[0], "reference step")
            step(looped, looped, "loop step")
    print(f"{steps.where(args)}; torch {torch.__version__}; {vars(args)}")
    print(f"operations per step: {work} (with views and allocations {every})")
    for name, values in times.items():
        if values:
            print(f"{name}: {statistics.median(values) * 1e3:.1f} ms (median of {len(values)})")
    if args.reference:
        for name in ("reference step", "loop step"):
            print(f"{name} / step: {statistics.median(times[name]) / statistics.median(times['step']):.2f}")
        for name, value in expected.items():
            error = (outputs[name] - value).abs().max() / value.abs().max()
            print(f"largest relative difference of {name}: {error.item():.1e}")
    if args.device.startswith("cuda"):
        print(f"peak memory: {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")
    ours, theirs = (1e3 * statistics.median(times[name]) if times[name] else None for name in ("step", "loop step"))
    compared = {"other": theirs, "against": "the backbone frame by frame (for the authors' code)",
                "ratio": theirs / ours} if theirs else {}
    rows.emit(args, rows.row(f"FDP, a step of {args.batch} clips, {args.dtype}", ours, "ms", **compared,
                             goal=steps.goal(args, "ratio >= 1.8" if compared else "",
                                             "ours <= 10" if args.batch == 36 else ""),
                             floor=steps.floor_ms(args, flop.get_total_flops()), floor_is=steps.FLOOR_IS),
              rows.row("FDP, operations of a step", work, "operations", goal="ours <= 2000"))


if __name__ == "__main__":
    main()

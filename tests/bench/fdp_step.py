"""Time of a training step of FDP (forward, losses and backward), beside the same network frame by frame.

    python tests/bench/fdp_step.py                                    # CPU, one thread, process time, batch 4
    python tests/bench/fdp_step.py --device cuda --batch 36 --dtype bf16 --rounds 20 --no-reference

`reference` is tests/models/fdp/fdp_reference.py: the frames' numbers one after the other in every layer, batch norm
over all. `loop` is this network with `frame_fold: loop`: the whole backbone frame by frame, as in the released code,
which is another function because of batch norm. Rounds are interleaved and medians reported, so that a busy machine
disturbs all. On a GPU the time is the device's. The number of operations depends on neither machine nor batch.
"""

import argparse
import dataclasses
import os
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic products on a GPU ask for

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

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
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--global-blocks", type=int, default=1, help="of each stage; Table 10 prints the sizes of 0")
    parser.add_argument("--width", type=float, default=1.0)
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
    # stochastic depth off: it only draws, and the compared networks would draw differently
    changes = {"width": args.width, "tasks": tuple(args.tasks.split(",")), "drop_path": 0.0,
               "n_global": (args.global_blocks,) * STAGES}
    cfg = Config(**changes)
    model = FDP(cfg, 5).to(args.device)
    looped = FDP(dataclasses.replace(cfg, frame_fold="loop"), 5).to(args.device)
    looped.load_state_dict(model.state_dict())
    batch = clips(args.batch, cfg.t, args.device)
    now = timer(args.device)
    rows = {"forward": [], "backward": [], "step": [], "reference step": [], "loop step": []}

    def step(network: FDP, forward, name: str) -> dict[str, torch.Tensor]:
        started = now()
        with torch.autocast(args.device.split(":")[0], torch.bfloat16, enabled=args.dtype == "bf16"):
            outputs = forward(batch.frames)
        loss = total(fdp_losses(outputs, batch, cfg))
        middle = now()
        network.zero_grad(set_to_none=True)
        loss.backward()
        ended = now()
        rows[name].append(ended - started)
        if name == "step":
            rows["forward"].append(middle - started)
            rows["backward"].append(ended - middle)
        return outputs

    work, every = count_operations(model, batch)
    for round_ in range(args.rounds + 1):
        outputs = step(model, model, "step")
        if args.reference:
            expected = step(model, lambda frames: fdp_reference.fdp(model, frames)[0], "reference step")
            step(looped, looped, "loop step")
        if round_ == 0:  # warm-up
            for values in rows.values():
                values.clear()
    where = torch.cuda.get_device_name() if args.device.startswith("cuda") else f"cpu, {args.threads} thread"
    print(f"{where}; torch {torch.__version__}; {vars(args)}")
    print(f"operations per step: {work} (with views and allocations {every})")
    for name, values in rows.items():
        if values:
            print(f"{name}: {statistics.median(values) * 1e3:.1f} ms (median of {len(values)})")
    if args.reference:
        for name in ("reference step", "loop step"):
            print(f"{name} / step: {statistics.median(rows[name]) / statistics.median(rows['step']):.2f}")
        for name, value in expected.items():
            error = (outputs[name] - value).abs().max() / value.abs().max()
            print(f"largest relative difference of {name}: {error.item():.1e}")
    if args.device.startswith("cuda"):
        print(f"peak memory: {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()

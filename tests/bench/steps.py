"""What the benchmarks of training steps share: options, clock, rounds, and the floor that arithmetic sets."""

import argparse
import os
import time
from collections.abc import Iterator

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic products on a GPU ask for

import torch
from bench import rows

FLOOR_IS = "FLOP of the step at the best rate of a large product or convolution of the same type in the same run"
SIDE = {"cpu": 1024, "cuda": 8192}  # of that product's matrices
IMAGES = {"cpu": 4, "cuda": 256}  # of that convolution: 256 channels, 3 x 3, 32 x 32 pixels


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dtype", choices=("fp32", "tf32", "bf16"), default="fp32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=45.0, help="no round is begun after this, but for the first")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--deterministic", action=argparse.BooleanOptionalAction, default=True)


def prepare(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(args.deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.dtype != "fp32"
    torch.manual_seed(0)


def timer(device: str):
    """A function that returns seconds so far: process time of the CPU, or the GPU's clock after it has caught up."""
    if not device.startswith("cuda"):
        return time.process_time

    def now() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return now


def rounds(args: argparse.Namespace) -> Iterator[int]:
    """The numbers of the rounds: as many as asked for, fewer where the time is up."""
    began = time.monotonic()
    for number in range(args.rounds):
        if number and time.monotonic() - began > args.seconds:
            return
        yield number


def where(args: argparse.Namespace) -> str:
    return torch.cuda.get_device_name() if rows.on_gpu(args) else f"cpu, {args.threads} thread"


def floor_ms(args: argparse.Namespace, flop: int) -> float:
    """`flop` at the best rate that a large product or convolution reaches here."""
    device = args.device.split(":")[0]
    dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
    matrix = torch.rand(SIDE[device], SIDE[device]).to(args.device, dtype)
    images = torch.rand(IMAGES[device], 256, 32, 32).to(args.device, dtype)
    kernel = torch.rand(256, 256, 3, 3).to(args.device, dtype)
    now, rate = timer(args.device), 0.0
    for work, compute in ((2 * SIDE[device] ** 3, lambda: matrix @ matrix),
                          (2 * images.numel() * 9 * 256, lambda: torch.conv2d(images, kernel, padding=1))):
        for _ in range(8):
            started = now()
            compute()
            rate = max(rate, work / (now() - started))
    return 1e3 * flop / rate


def goal(args: argparse.Namespace, on_cpu: str, on_gpu: str) -> str:
    """The goal of this device, '' on a GPU of another kind than the goals are for."""
    if not rows.on_gpu(args):
        return on_cpu
    return on_gpu if any(name in where(args) for name in rows.GOALS_ON) else ""

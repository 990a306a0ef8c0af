"""Time of a training step of MA2MI (forward, losses and backward), in pretraining and in fine-tuning.

    python tests/bench/ma2mi_step.py                 # small, CPU, one thread
    python tests/bench/ma2mi_step.py --device cuda   # the paper's pretraining, bf16
    python tests/bench/ma2mi_step.py --device cuda --stage finetune --batch 16

Latents are random numbers: a step reads them from the cache. Medians are reported, on a CPU of process time, on a GPU
of the device's clock. FLOP are torch's own count (2 per multiplication and addition) of forward and backward.
"""

import argparse
import statistics
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench import rows, steps  # noqa: E402

from mer.models.ma2mi.config import Config, latent_shape, loss_weights  # noqa: E402
from mer.models.ma2mi.losses import ma2mi_losses, match, random_affine, unit_vectors, warp_images  # noqa: E402
from mer.models.ma2mi.network import MIACNet  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=("pretrain", "finetune"), default="pretrain")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=float, default=0.25, help="of the encoders")
    parser.add_argument("--dit", default="64,2,4", help="width, depth, heads")
    parser.add_argument("--patch", type=int, default=2)
    parser.add_argument("--autoencoder", choices=("sd_vae", "none"), default="sd_vae")
    parser.add_argument("--match", choices=("hungarian", "argmax"), default="hungarian")
    parser.add_argument("--compile", action="store_true", help="torch.compile of DiT")
    steps.options(parser)
    return rows.parse(parser, quick={"width": 0.0625, "batch": 2, "rounds": 1},
                      cuda={"size": 224, "width": 1.0, "dit": "768,12,12", "batch": 32, "dtype": "bf16", "rounds": 20})


def make_batch(cfg: Config, count: int, device: str) -> SimpleNamespace:
    """Random frames, latents and transforms of the shapes that a step is given."""
    channels, side, _ = latent_shape(cfg)
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(count, 2, 1, cfg.size, cfg.size, generator=generator).to(device)
    theta = random_affine(count, rotation=15, translation=0.1, generator=generator).to(device)
    latents = torch.randn(count, 2, channels, side, side, generator=generator).to(device)
    return SimpleNamespace(frames=frames, latents=latents, theta=theta, warped=warp_images(frames[:, 0], theta),
                           label=torch.zeros(count, dtype=torch.long, device=device))


def main() -> None:
    args = arguments()
    steps.prepare(args)
    width, depth, heads = map(int, args.dit.split(","))
    cfg = Config(size=args.size, width=args.width, dit_width=width, dit_depth=depth, dit_heads=heads,
                      patch=args.patch, autoencoder=args.autoencoder, match=args.match)
    pretraining = args.stage == "pretrain"
    model = MIACNet(cfg, 0 if pretraining else 5, reconstruct=pretraining).to(args.device)
    if args.compile and model.dit is not None:
        model.dit.compile()
    batch = make_batch(cfg, args.batch, args.device)
    given = (batch.latents[:, 0], batch.warped) if pretraining else ()
    optimiser = torch.optim.AdamW(model.parameters(), 4e-4, fused=args.device.startswith("cuda"))
    now = steps.timer(args.device)
    times = {"forward and losses": [], "backward": [], "optimiser": [], "step": []}
    weights = loss_weights(cfg)

    def step() -> None:
        started = now()
        with torch.autocast(args.device.split(":")[0], torch.bfloat16, enabled=args.dtype == "bf16"):
            outputs = model(batch.frames, *given)
        loss = sum(weights[name] * value for name, value in ma2mi_losses(outputs, batch, cfg).items())
        middle = now()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        backward = now()
        optimiser.step()
        ended = now()
        parts = middle - started, backward - middle, ended - backward, ended - started
        for name, seconds in zip(times, parts, strict=True):
            times[name].append(seconds)

    with FlopCounterMode(display=False) as counter:
        step()
    step()
    for values in times.values():
        values.clear()
    for _ in steps.rounds(args):
        step()
    print(f"{steps.where(args)}; torch {torch.__version__}; {vars(args)}")
    print(f"parameters: {sum(p.numel() for p in model.parameters()):,}; {counter.get_total_flops() / 1e12:.3f} TFLOP")
    for name, values in times.items():
        print(f"{name}: {statistics.median(values) * 1e3:.1f} ms (median of {len(values)})")
    print(f"{counter.get_total_flops() / statistics.median(times['step']) / 1e12:.2f} TFLOP/s")
    if pretraining:
        units = unit_vectors(torch.randn(args.batch, 512, cfg.size // 32, cfg.size // 32, device=args.device))
        similarity, started = units @ units.roll(-1, 0).transpose(1, 2), now()
        match(similarity, args.match)
        print(f"of it matching: {(now() - started) * 1e3:.1f} ms")
    if args.device.startswith("cuda"):
        print(f"peak memory: {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")
    rows.emit(args, rows.row(f"MA2MI, {args.stage}, a step of {args.batch} clips, {args.size} pixels, {args.dtype}",
                             1e3 * statistics.median(times["step"]), "ms",
                             floor=steps.floor_ms(args, counter.get_total_flops()), floor_is=steps.FLOOR_IS))


if __name__ == "__main__":
    main()

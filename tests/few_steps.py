"""A few real training steps of every network on made-up clips, and the SHA-256 of what they leave, as one JSON line.

    python tests/few_steps.py mol fdp ma2mi conv_ae ma2mi_pretrain --steps 2 --batch 2

A program of its own, because what caps the instruction set is read when torch is imported:
tests/base/test_portable.py runs it under other limits, tests/bench/processors.py under other processors. The clips are
whole numbers from a generator of whole numbers, so that they are the same everywhere; widths, crops and losses are
those of the demo.
"""

import argparse
import dataclasses
import hashlib
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

import mer  # noqa: E402, F401, I001  # before torch: it caps what torch reads at its import

import torch  # noqa: E402

from mer import params  # noqa: E402
from mer.base.knobs import read_yaml  # noqa: E402
from mer.models.ma2mi import autoencoder_training, encoding, pairs  # noqa: E402
from mer.models.ma2mi import task as ma2mi_task  # noqa: E402
from mer.models.ma2mi.autoencoder import ConvAe  # noqa: E402
from mer.training import engine  # noqa: E402
from mer.training import task as tasks  # noqa: E402
from mer.training.batches import Clips  # noqa: E402

N, SIDE, CLASSES = 6, 144, 3


def knobs(model: str) -> params.Params:
    raw = read_yaml(ROOT / "params.yaml")
    return params.resolve({**raw, "model": model})


def whole(high: int, *shape: int) -> torch.Tensor:
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(sum(shape)))


def clips(p: params.Params) -> Clips:
    """N clips of noise that moves: one set of t frames, landmarks in quarters of a pixel, flow in eighths."""
    t, side = p.sampling.t, p.align.size
    frames = whole(256, N, 1, t, side, side).to(torch.uint8)
    points = whole(4 * side, N, 1, t, 68, 2) / 4
    flow = (whole(64, N, t - 1, 2, side, side) - 32) / 8
    pair = torch.stack([torch.zeros(t - 1, dtype=torch.int64), torch.arange(t - 1)], dim=1).expand(N, -1, -1)
    return Clips((None,) * N, frames, points, flow.half() if p.model == "mol" else None,
                 pair if p.model == "mol" else None, torch.arange(N) % CLASSES)


def latents(p: params.Params) -> pairs.Pairs:
    """N clips of 8 frames each and latents in eighths."""
    side = p.pretrain.crop
    frames = whole(256, N * 8, side, side).to(torch.uint8)
    mean = ((whole(32, 2, N * 8, 4, side // 8, side // 8) - 16) / 8).half()
    start = torch.arange(N) * 8
    return pairs.Pairs((None,) * N, frames, start, torch.full((N,), 8), mean, None,
                         torch.arange(N) % CLASSES)


def sha256(tensors: dict[str, torch.Tensor]) -> str:
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode() + tensors[name].detach().contiguous().numpy().tobytes())
    return total.hexdigest()[:12]


def trained(name: str, steps: int, batch: int) -> dict[str, str]:
    """Hashes of the network before and after training, of the losses, and of what it then says of all clips."""
    p = knobs({"ma2mi_pretrain": "ma2mi", "conv_ae": "ma2mi"}.get(name, name))
    torch.manual_seed(0)
    rows = torch.arange(N)
    section = p.train if name == p.model else p.pretrain
    budget = dataclasses.replace(engine.budget(p, section, N), steps=steps, batch=batch, eval_every=0)
    if name == "conv_ae":
        side = p.pretrain.crop
        task, model = autoencoder_training.ConvAeMethod(p.ma2mi.size), ConvAe(p.ma2mi.conv_ae_width)
        data = autoencoder_training.Frames(whole(256, N, side, side).to(torch.uint8))
    elif name == "ma2mi_pretrain":
        task, data = ma2mi_task.Reconstruction(p), latents(p)
        model = task.build(CLASSES)
    else:
        task, data = tasks.task(p), clips(p)
        model = task.build(CLASSES)
        task.fit(model, data, rows, budget.crop, fresh=True)
    found = {"start": sha256(model.state_dict())}
    with tempfile.TemporaryDirectory() as folder:
        log, _ = engine.train(model, task, data, rows, budget, seed=1, state=Path(folder) / "state.pt", desc=name)
    found |= {"losses": hashlib.sha256(json.dumps(log).encode()).hexdigest()[:12],
              "weights": sha256(model.state_dict())}
    if name == "conv_ae":
        frames = data.frames.numpy()
        made = encoding.encode_clip(model.eval(), frames, crop=p.pretrain.crop, size=p.ma2mi.size)
        found["latents"] = hashlib.sha256(made["mean"].tobytes() + made["logvar"].tobytes()).hexdigest()[:12]
    else:
        said = list(engine.predict(model, task, data, rows[:2], crop=budget.crop))
        found["outputs"] = sha256({k: v.float() for _, _, outputs in said for k, v in outputs.items()})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["mol", "fdp", "ma2mi", "ma2mi_pretrain", "conv_ae"])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--batch", type=int, default=2)
    asked = parser.parse_args()
    engine.configure(1, "fp32")
    for name in asked.names:
        print(json.dumps({"name": name, **trained(name, asked.steps, asked.batch)}),
              flush=True)


if __name__ == "__main__":
    main()

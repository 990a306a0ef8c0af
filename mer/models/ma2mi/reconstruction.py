"""What MA2MI's pretraining has learned: its reconstruction beside its rivals on clips held out, and a few pictures."""

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mer.base import store
from mer.base.errors import MerError
from mer.models.ma2mi.autoencoder import ConvAe
from mer.models.ma2mi.config import Config
from mer.models.ma2mi.losses import diagnose
from mer.models.ma2mi.network import MIACNet
from mer.models.ma2mi.pairs import PairBatch, Pairs, open_autoencoder, pair_batch
from mer.models.ma2mi.sd_vae import SdVae
from mer.training import engine

DRAWS = 4  # pairs of frames that are drawn of every clip
BATCH = 32  # clips
EXAMPLES = 3  # pictures: best, median, worst
HELD_OUT, MOST = 10, 256  # one clip of so many is held out, of many clips no more


def held_out(clips: int) -> list[int]:
    """The rows that are measured on and not trained on, evenly over so many clips; of fewer than six none."""
    if clips < 2 * EXAMPLES:
        return []
    return np.linspace(0, clips - 1, min(max(clips // HELD_OUT, EXAMPLES), MOST)).round().astype(int).tolist()


def measured_on(pairs: Pairs) -> Tensor:
    """The rows held out; where there are none, all."""
    return torch.tensor(held_out(len(pairs)) or range(len(pairs)))


def measure(model: MIACNet, pairs: Pairs, cfg: Config, data: Path) -> dict[str, float]:
    """The numbers of `ma2mi_losses.diagnose`, mean over DRAWS random pairs of every clip that is held out.

    The same in every run, mirrored never. Clips go in random order, so that the condition that `diagnose` takes from
    the next clip is seldom the same person's. With conv_ae, which is trained in the pipeline, also
    `autoencoder_grey_error` on frames it was not trained on and that of their mean picture, grey levels of 0..255, from
    data/latents.
    """
    totals: dict[str, float] = {}
    chosen = measured_on(pairs)
    for draw in range(DRAWS):
        order = chosen[torch.randperm(len(chosen), generator=_generator("order", draw))]
        for i, (rows, batch) in enumerate(_batches(pairs, order, cfg, f"diagnose {draw}")):
            for name, value in diagnose(model, batch, _generator("shuffled", draw, i)).items():
                totals[name] = totals.get(name, 0.0) + value.item() * len(rows)
    found = {name: value / (DRAWS * len(chosen)) for name, value in totals.items()
             if len(chosen) > 1 or name != "shuffled_c"}  # a single clip has no other to take it from
    if cfg.autoencoder == "conv_ae":
        summary = store.read_json(data / "latents" / "summary.json")
        found |= {f"autoencoder_{name}": summary[name] for name in ("grey_error", "grey_error_mean_picture")}
    return found


def examples(model: MIACNet, pairs: Pairs, cfg: Config, data: Path) -> dict[str, dict[str, np.ndarray]]:
    """EXAMPLES clips, held out, from the best to the worst by what the network gains over copying, in pictures.

    Returns:
        {number from 1: arrays}: clip, subject (bytes); first, second (S, S) float16 in [0, 1], I_t and I_{t+d};
        start, truth, estimate (S, S) float16, what z_t, z_{t+d} and the estimate of z_{t+d} decode to; error, copy:
        L1 errors of the estimate and of z_t in the latent. Empty, which is said, where the autoencoder's weights are
        no longer at hand: the training itself does not need them.
    """
    try:
        autoencoder = open_autoencoder(cfg, data / "latents" / "autoencoder.pt")[0]
    except MerError as error:
        print(f"pretrain: no pictures of the reconstruction: {error}", file=sys.stderr)
        return {}
    everyone = measured_on(pairs)
    gains, errors, copies = [], [], []
    for _, batch in _batches(pairs, everyone, cfg, "examples"):
        errors.append((_estimate(model, batch) - batch.latents[:, 1]).abs().mean((1, 2, 3)))
        copies.append((batch.latents[:, 0] - batch.latents[:, 1]).abs().mean((1, 2, 3)))
        gains.append(copies[-1] - errors[-1])
    order = torch.cat(gains).cpu().argsort(descending=True, stable=True)
    places = sorted({round(x) for x in np.linspace(0, len(everyone) - 1, EXAMPLES)})
    chosen = {int(everyone[order[place]]): str(number) for number, place in enumerate(places, 1)}
    error, copy = ({i: value.cpu().numpy() for i, value in zip(everyone.tolist(), torch.cat(values), strict=True)}
                   for values in (errors, copies))
    made = {}
    for rows, batch in _batches(pairs, everyone, cfg, "examples"):  # drawn again: the same pairs
        for b, i in enumerate(rows.tolist()):
            if i in chosen:
                one = PairBatch(batch.frames[b:b + 1], batch.latents[b:b + 1], None, None, batch.label[b:b + 1])
                made[chosen[i]] = {**_pictures(model, one, autoencoder), **_names(pairs, i),
                                   "error": error[i], "copy": copy[i]}
    return made


def _batches(pairs: Pairs, order: Tensor, cfg: Config, words: str) -> Iterator[tuple[Tensor, PairBatch]]:
    """Batches of about equal size over the clips `order` (N,), each with its own random pairs; none is of one clip."""
    plain = replace(cfg, position_loss=False)  # nothing is warped
    for i, rows in enumerate(order.tensor_split(math.ceil(len(order) / BATCH))):
        yield rows, pair_batch(pairs, rows, plain, flip=False, generator=_generator(words, i))


def _generator(*words: int | str) -> torch.Generator:
    return torch.Generator().manual_seed(engine.derive("reconstruction", *words))


@torch.no_grad()
def _estimate(model: MIACNet, batch: PairBatch) -> Tensor:
    """The estimate of z_{t+d} in evaluation mode, (B, L, s, s)."""
    was_training = model.training
    model.eval()
    try:
        return model(batch.frames, batch.latents[:, 0])["latent"]
    finally:
        model.train(was_training)


@torch.no_grad()
def _pictures(model: MIACNet, one: PairBatch, autoencoder: SdVae | ConvAe | None) -> dict[str, np.ndarray]:
    latent = torch.cat([one.latents[0], _estimate(model, one)])  # z_t, z_{t+d} and its estimate
    decoded = (latent / 2 + 0.5).clamp(0, 1) if autoencoder is None else autoencoder.to(latent.device).decode(latent)
    shown = torch.cat([one.frames[0].mean(1), decoded.mean(1)]).half().cpu().numpy()
    return dict(zip(("first", "second", "start", "truth", "estimate"), shown, strict=True))


def _names(pairs: Pairs, i: int) -> dict[str, np.ndarray]:
    clip = pairs.entries[i].clip
    return {"clip": np.bytes_(clip.clip_id.encode()), "subject": np.bytes_(clip.subject.encode())}

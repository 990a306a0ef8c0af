"""Latents of all frames of the clips, made once and kept.

A frozen autoencoder costs three times all the rest of a step, so every frame is encoded once, upright and mirrored
(Eq. 7), and kept as float16: relative error 5e-4 of latents whose standard deviation is about 1.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from mer.base import disk, environment, store, terminal
from mer.datasets.clips import read_clips
from mer.labels import located, records
from mer.models.ma2mi.autoencoder import ConvAe
from mer.models.ma2mi.pairs import centre, pictures
from mer.models.ma2mi.sd_vae import SdVae

NAMES = ("logvar", "mean")


@torch.no_grad()
def encode_clip(autoencoder: SdVae | ConvAe, frames: np.ndarray, *, crop: int, size: int, batch: int = 32) -> dict:
    """The record of one clip's aligned frames (T, H, W) uint8, centre crop: mean and logvar (2, T, 4, s, s) float16.

    The first axis: upright, and of the mirrored picture (which is not the mirrored latent).
    """
    device = autoencoder.scale.device
    upright = centre(torch.from_numpy(frames), crop)
    moments = [torch.stack(autoencoder.encode(pictures(part.to(device), size))).half().cpu()
               for part in torch.cat([upright, upright.flip(-1)]).split(batch)]
    mean, logvar = torch.cat(moments, dim=1).unflatten(1, (2, len(frames))).numpy()
    return {"mean": mean, "logvar": logvar}


class _Lazy(Mapping):
    """A clip's record, made whenever an array of it is asked for."""

    def __init__(self, make: Callable[[], dict[str, np.ndarray]]):
        self._make = make

    def __getitem__(self, name: str) -> np.ndarray:
        return self._make()[name]

    def __contains__(self, name: object) -> bool:
        return name in NAMES

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


def encode(autoencoder: SdVae | ConvAe, data: Path, dataset: str, out: Path, *, crop: int, size: int) -> dict:
    """Encode every aligned clip of a dataset into `<out>/<dataset>/`; returns the numbers of clips and frames.

    A clip is read, encoded and written before the next one.
    """
    folder = data / "aligned" / dataset
    summary, every = store.read_json(folder / "summary.json"), read_clips(folder / "clips.csv")
    clips = records.labelled(folder, every)
    frames = located.columns(data / "aligned", clips, ("frames",))["frames"]
    one = encode_clip(autoencoder, frames.whole(0)[:1], crop=crop, size=size)
    disk.ask(f"latents {dataset}", int(frames.length.sum()) * sum(array.nbytes for array in one.values()), out)
    with terminal.progress(None, total=len(clips), desc=f"latents {dataset}", unit="clip") as bar:
        @functools.lru_cache(maxsize=1)  # a shard takes the arrays of one clip after another
        def made(i: int) -> dict[str, np.ndarray]:
            bar.update()
            return encode_clip(autoencoder, frames.whole(i), crop=crop, size=size)

        lazy = {clip.clip_id: _Lazy(functools.partial(made, i)) for i, clip in enumerate(clips)}
        counts = {"clips": len(clips), "frames": int(frames.length.sum())}
        before = {**summary, "made_with": environment.made_with("latents", dataset, summary)}
        records.write(out / dataset, "latents", every, lazy, before=before,
                      summary={"dataset": dataset, **counts},
                      attrs={"units": "scaled latents; first axis: upright, mirrored", "crop": crop, "size": size})
    return counts

"""MA2MI in training: pretraining by reconstruction or by labels (MAER), then fine-tuning on onset and apex."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mer.models.ma2mi import kept, network, pair_reading, pairs, reconstruction
from mer.models.ma2mi.config import ENCODER_WEIGHTS, frozen, latent_shape, loss_weights
from mer.models.ma2mi.losses import ma2mi_losses
from mer.models.ma2mi.network import MIACNet
from mer.models.parts.resnet18 import load_imagenet
from mer.training import batches
from mer.training.task import Method


class _Ma2mi(Method):
    head_key = MIACNet.HEAD

    def __init__(self, params):
        super().__init__(params)
        self.cfg = params.ma2mi
        self.weights = loss_weights(params.ma2mi)

    def network(self, n_classes: int, **options) -> nn.Module:
        model = MIACNet(self.cfg, n_classes, **options)
        if self.cfg.encoder_weights:
            for trunk in filter(None, (model.fpe, model.fae)):
                load_imagenet(trunk, Path(ENCODER_WEIGHTS) / self.cfg.encoder_weights, "ma2mi")
        return model

    def losses(self, outputs, batch):
        return ma2mi_losses(outputs, batch, self.cfg)


class Folds(_Ma2mi):
    """Onset and apex frame to classes; with keep_reconstruction (Table 2) also the apex's latent."""

    def build(self, n_classes):
        return self.network(n_classes, reconstruct=self.cfg.keep_reconstruction, frozen=frozen(self.cfg))

    def load(self, data, entries, device):
        if self.cfg.keep_reconstruction:
            return kept.load(data, entries, self.cfg, self.params.sampling, device=device,
                             resident_gb=self.params.train.resident_gb)
        return super().load(data, entries, device)

    def placeholders(self, frames):
        if not self.cfg.keep_reconstruction or self.cfg.autoencoder == "none":
            return {}
        # what DiT would reconstruct from; the classes' scores do not depend on it, so no autoencoder is asked for
        channels, side = latent_shape(self.cfg)[:2]
        empty = np.zeros((2, frames, channels, side, side), np.float16)
        return {"latents": {"mean": empty, "logvar": empty}}

    def carry_over(self, model, pretrained, classes):
        network.carry_over(model, pretrained["model"])

    def pick(self, clips, rows, budget, generator):
        picked = super().pick(clips, rows, budget, generator)
        return kept.pick(picked, rows) if self.cfg.keep_reconstruction else picked

    def draw(self, clips, rows, budget, generator):
        batch = batches.train_batch(clips, rows, crop=budget.crop, flip=budget.flip, flow_pairs=0, generator=generator)
        batch = replace(batch, frames=pairs.turned(batch.frames, self.cfg.turn, generator))
        return kept.with_latents(clips, rows, batch, self.cfg, generator) if self.cfg.keep_reconstruction else batch

    def test_batch(self, clips, rows, crop):
        batch, generator = super().test_batch(clips, rows, crop), torch.Generator().manual_seed(0)
        return kept.with_latents(clips, rows, batch, self.cfg, generator) if self.cfg.keep_reconstruction else batch

    def forward(self, model, batch):
        return model(batch.frames, latent=batch.latents[:, 0] if self.cfg.keep_reconstruction else None)

    def keep(self, model, outputs, batch) -> dict[str, Tensor]:
        return {"grad_cam": network.grad_cam(model, batch.frames).half()}


class Reconstruction(_Ma2mi):
    """The later frame's latent from the earlier one's and the condition, and the position losses; no labels."""

    classifies = labelled = False

    @property
    def captures(self):  # the assignment is solved on the CPU
        return self.cfg.match != "hungarian" or not self.cfg.position_loss

    def build(self, n_classes):
        return self.network(0, reconstruct=True)

    def load(self, data, entries, device):
        return pair_reading.load(data, entries, self.cfg, crop=self.params.pretrain.crop, device=device,
                                 resident_gb=self.params.train.resident_gb)

    def pick(self, clips, rows, budget, generator):
        return pairs.pick(clips, rows, self.cfg, flip=budget.flip, generator=generator)

    def draw(self, clips, rows, budget, generator):
        return pairs.pair_batch(clips, rows, self.cfg, flip=budget.flip, generator=generator)

    def test_batch(self, clips, rows, crop):
        return pairs.pair_batch(clips, rows, self.cfg, flip=False, generator=torch.Generator().manual_seed(0))

    def held_out(self, clips):
        return reconstruction.held_out(clips)

    def forward(self, model, batch):
        return model(batch.frames, batch.latents[:, 0], batch.warped)

    def diagnose(self, model, clips, data):
        return (reconstruction.measure(model, clips, self.cfg, data),
                reconstruction.examples(model, clips, self.cfg, data))


class Maer(_Ma2mi):
    """The labelled rival (Table 1): the macro release's classes from its onset and apex (or middle) frame.

    # paper: its pair of frames is not said.
    """

    def build(self, n_classes):
        return self.network(n_classes)


def pretraining(params) -> Method | None:
    """The task of ma2mi.pretraining; None for `none`."""
    kind = {"ma2mi": Reconstruction, "maer": Maer, "none": None}[params.ma2mi.pretraining]
    return kind and kind(params)

"""What differs between the papers' models when they are trained: the network, its data, losses and what is measured.

`Method` is the common part; mer/models/*/task.py hold the models' own.
"""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mer.training import batches, checkpoint, reading
from mer.training.batches import Batch, Clips, Entry
from mer.training.engine import Budget


class Method:
    """One model's side of training; what is not overridden suits a network that sees the sampled frames alone.

    Attributes:
        weights: the weight of each named loss.
        head_key: the layer whose rows are classes, in the state dict.
        classifies: whether the network has class outputs.
        labelled: whether pretraining leaves out the clips that the label set has in no class.
        captures: whether a GPU can hold a step as one graph: nothing of it is computed on the CPU.
    """

    weights: dict[str, float]
    head_key: str
    classifies = True
    labelled = True
    captures = True

    def __init__(self, params):
        self.params = params

    def load(self, data: Path, entries: tuple[Entry, ...], device: str) -> Clips:
        """The clips of a run on the device, read from the stores below `data`, or where they do not fit streamed."""
        return reading.load(data, entries, self.params.sampling, with_flow=False, device=device,
                            resident_gb=self.params.train.resident_gb)

    def build(self, n_classes: int) -> nn.Module:
        """A network with fresh weights."""
        raise NotImplementedError

    def fit(self, model: nn.Module, clips: Clips, rows: Tensor, crop: int, *, fresh: bool) -> dict[str, Tensor]:
        """Set the network's input statistics from the training clips `rows`, and with `fresh` its starting biases.

        Returns:
            The constants of these clips that estimates are compared with, for `errors`.
        """
        return {}

    def carry_over(self, model: nn.Module, pretrained: dict, classes: tuple[str, ...]) -> None:
        """Copy the weights of a pretraining checkpoint (keys model, classes) into `model`."""
        checkpoint.load_pretrained(model, pretrained, classes, self.params.pretrain.head, self.head_key)

    def draw(self, clips: Clips, rows: Tensor, budget: Budget, generator: torch.Generator) -> Batch:
        """A training batch of the clips `rows`; all randomness comes from `generator`."""
        return batches.train_batch(clips, rows, crop=budget.crop, flip=budget.flip, flow_pairs=budget.flow_pairs,
                                   generator=generator)

    def pick(self, clips: Clips, rows: Tensor, budget: Budget, generator: torch.Generator) -> Clips:
        """Of streamed clips, in a thread: clips that have at hand what `draw` will ask with a generator of this state.

        A method that draws otherwise overrides both.
        """
        return batches.pick(clips, rows, crop=budget.crop, flip=budget.flip, flow_pairs=budget.flow_pairs,
                            generator=generator)

    def test_batch(self, clips: Clips, rows: Tensor, crop: int) -> Batch:
        """The fixed batch that is evaluated."""
        return batches.test_batch(clips, rows, crop=crop)

    def forward(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The network's named outputs."""
        return model(batch.frames)

    def losses(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Named scalars, unweighted."""
        raise NotImplementedError

    def trunk(self, model: nn.Module) -> list[nn.Parameter]:
        """The parameters that all tasks share, on which the norms of their gradients are measured; []: on none."""
        return []

    def errors(self, outputs: dict[str, Tensor], batch: Batch, constants: dict[str, Tensor]) -> dict[str, Tensor]:
        """Auxiliary errors per clip (B,), by the columns of the prediction table."""
        return {}

    def keep(self, model: nn.Module, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Arrays (B, ...) per test clip that pictures are drawn from."""
        return {}

    def placeholders(self, frames: int) -> dict[str, dict[str, np.ndarray]]:
        """{store: arrays} of a clip of `frames` frames that `load` reads and no score of a class depends on."""
        return {}

    def held_out(self, clips: int) -> list[int]:
        """The rows, of so many clips of the sources, that pretraining leaves for `diagnose`."""
        return []

    def diagnose(self, model: nn.Module, clips: Clips, data: Path) -> tuple[dict[str, float], dict[str, dict]]:
        """After pretraining on `clips`: numbers that tell what it learned, and examples {name: arrays} to be drawn."""
        return {}, {}


def task(params) -> Method:
    """The task of `params.model` in the folds: `Folds` of its folder's task.py."""
    return importlib.import_module(f"mer.models.{params.model}.task").Folds(params)


def pretraining(params) -> Method | None:
    """The task of `params.model` on the macro-expression releases; None where the settings leave pretraining out.

    It is what `pretraining` of its folder's task.py says, or without it that of the folds.
    """
    if not params.pretrain.sources or not (params.pretrain.steps or params.pretrain.epochs):
        return None
    found = importlib.import_module(f"mer.models.{params.model}.task")
    if params.pretrain.sets:  # of the sources, for which alone their labels are made
        params = replace(params, sampling=replace(params.sampling, sets=params.pretrain.sets))
    return getattr(found, "pretraining", found.Folds)(params)

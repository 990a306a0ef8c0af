"""What differs between the papers' models when they are trained: network, losses, weights, the labels they need."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import nn

from mer.models.mol import MOL
from mer.training import losses
from mer.training.engine import Budget


@dataclass(frozen=True)
class Task:
    """One model's side of training.

    Attributes:
        build: n_classes -> network.
        losses: (outputs, batch) -> named scalars, unweighted.
        weights: the weight of each loss (Eq. 9).
        fit: (network, pixel mean, pixel sd, residual sd, mean face or None): sets the input statistics and, where a
            mean face is given, the landmark head's starting bias.
        head_key: prefix of the classifier's last layer in the state dict.
        needs_flow: whether flow labels are read.
    """

    build: Callable[[int], nn.Module]
    losses: Callable
    weights: dict[str, float]
    fit: Callable
    head_key: str
    needs_flow: bool


def task(params) -> Task:
    """The task of `params.model`."""
    return {"mol": _mol}[params.model](params)


def _mol(params) -> Task:
    def fit(model: MOL, mean: float, sd: float, residual: float, face: torch.Tensor | None) -> None:
        model.fit_input(mean, sd, residual)
        if face is not None:
            model.set_mean_shape(face)

    return Task(build=lambda n: MOL(params.mol, n), losses=losses.mol_losses,
                weights={"mer": 1.0, "flow": params.lambda_f, "landmark": params.lambda_m}, fit=fit,
                head_key=MOL.HEAD, needs_flow="flow" in params.mol.tasks)


def budget(params, section) -> Budget:
    """The training budget of a section (`params.train` or `params.pretrain`), with the run's learning rate."""
    names = {f.name for f in fields(Budget)} - {"lr", "precision"}
    values = {f.name: getattr(section, f.name) for f in fields(section) if f.name in names}
    return Budget(**values, lr=params.lr, precision=params.train.precision)

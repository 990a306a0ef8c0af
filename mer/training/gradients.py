"""How hard each task pulls at what all tasks share: norms of their weighted gradients on the trunk, now and then."""

from pathlib import Path

import torch
from torch import Tensor, nn

from mer.base import store

PREFIX = "gradient_"  # of the norms' names in a log; a task's name follows
EVERY = 25  # steps between two measurements, each of which costs one more backward pass through the network


def norms(model: nn.Module, task, terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """The norm, on `task.trunk(model)`, of the gradient of each loss times its weight; {} with one task or no trunk.

    terms: the losses, unweighted. Their graph is kept and no gradient is left behind, so that training goes on in the
    same bytes.
    """
    trunk, found = task.trunk(model), {}
    if len(terms) > 1 and trunk:
        for name, value in terms.items():
            parts = torch.autograd.grad(task.weights[name] * value, trunk, retain_graph=True, allow_unused=True)
            lengths = [part.norm() for part in parts if part is not None]
            found[PREFIX + name] = torch.stack(lengths).norm() if lengths else torch.zeros_like(value)
    return found


def losses(entry: dict) -> list[str]:
    """The names of a log's entry that are losses, with `step`."""
    return [name for name in entry if not name.startswith(PREFIX)]


def write(path: Path, log: list[dict]) -> None:
    """The measured steps of a log as CSV: step, and a column a task; no file where nothing was measured."""
    names = [name for name in (log[0] if log else ()) if name.startswith(PREFIX)]
    if names:
        store.write_csv(path, ["step", *(name.removeprefix(PREFIX) for name in names)],
                        [[entry[name] for name in ("step", *names)] for entry in log if names[0] in entry])

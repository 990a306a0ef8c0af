"""A training step as one function of a batch: forward, losses, backward, clipping, optimiser.

On a CPU it is called. On a GPU it is captured once as a CUDA graph and replayed, which takes one launch instead of a
thousand: the batch is copied to the graph's own memory, the learning rate is a number on the device, dropout draws by
torch's generator, which a graph follows, and the losses stay where they are. The graph, with the network it was
captured with, is kept for the next training of the same kind in this process (the next fold), whose weights are copied
into it. What a graph cannot hold runs as it is, with the same weights: a batch of another shape, and the now and then
measured norms of gradients.
"""

import copy
import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mer.base.terminal import say
from mer.training import gradients

GRAPHS = ("cuda",)  # kinds of devices that have them
WARM_UP = 3  # steps before a capture, in which libraries choose their kernels and reserve their memory


class Step:
    """A network and its optimiser, one step at a time; `network` is what is trained, `model` itself.

    Args:
        task: a `tasks.Method`.
        budget: an `engine.Budget`.
    """

    def __init__(self, model: nn.Module, task, budget, device: torch.device):
        self.network, self.task, self.budget, self.device = model, task, budget, device
        # A learning rate that a graph reads has to lie on the device. On a CPU it is a number, in double precision.
        on_gpu = device.type == "cuda"
        rate = torch.tensor(budget.lr, device=device) if on_gpu else budget.lr
        # fused: its square root is the processor's own; that of tensors, MKL's, differs between processors
        self.optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=budget.weight_decay, fused=True,
                                           capturable=on_gpu)

    def load(self, model: dict, optimiser: dict) -> None:
        """Go on from these states."""
        self.network.load_state_dict(model)
        self.optimiser.load_state_dict(optimiser)

    def rate(self, value: float) -> None:
        """Set the learning rate of the next steps."""
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(value)
            else:
                group["lr"] = value

    def __call__(self, batch, measured: bool = False) -> dict[str, Tensor]:
        """One step; the losses, unweighted, and their `total`, on the device; if `measured` also `gradients.norms`."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.budget.precision == "bf16"):
            outputs = self.task.forward(self.network, batch)
        terms = self.task.losses(outputs, batch)
        total = sum(self.task.weights[name] * value for name, value in terms.items())
        norms = gradients.norms(self.network, self.task, terms) if measured else {}
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        if self.budget.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.budget.clip_norm)
        self.optimiser.step()
        return {**terms, "total": total, **norms}

    def finish(self) -> None:
        """Leave the trained weights in the model, where they are."""


class Captured(Step):
    """The same of a copy of the model, captured at the first batch; `start` gives it the weights of another one."""

    def __init__(self, model: nn.Module, task, budget, device: torch.device):
        super().__init__(copy.deepcopy(model), task, budget, device)
        self.kind = kind(model, task, budget, device)
        self.target = model
        self.graph: Graph | None = None
        self.told = False  # that it cannot be captured

    def start(self, model: nn.Module) -> None:
        """Train `model` from its present weights, with a fresh optimiser."""
        self.target = model
        self.network.train(model.training)
        _fill(self.network.state_dict(), model.state_dict())
        self._zero()

    def load(self, model: dict, optimiser: dict) -> None:
        """Go on from these states, in the memory that a graph knows."""
        _fill(self.network.state_dict(), model)
        self._make_states()
        _fill_all(self._states(), optimiser["state"])

    def __call__(self, batch, measured: bool = False) -> dict[str, Tensor]:
        """As Step's; a replay where it can be one."""
        if self.graph is None and not self.told and len(batch.frames) == self.budget.batch:
            self._capture(batch)
        measured = measured and bool(self.task.trunk(self.network))
        if measured or self.graph is None or shape(batch) != self.graph.shape:
            return super().__call__(batch, measured)
        return self.graph(batch)

    def finish(self) -> None:
        """Copy the trained weights to the model."""
        _fill(self.target.state_dict(), self.network.state_dict())

    def _make_states(self) -> None:
        """The optimiser's states, which its first step would make: with gradients of zero it moves nothing."""
        if self.optimiser.state:
            return
        kept = copy.deepcopy(self.network.state_dict())
        for parameter in self.network.parameters():
            parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        _fill(self.network.state_dict(), kept)
        self._zero()

    def _zero(self) -> None:
        for state in self.optimiser.state.values():
            for value in state.values():
                value.zero_()

    def _states(self) -> dict[int, dict[str, Tensor]]:
        return self.optimiser.state_dict()["state"]

    def _capture(self, batch) -> None:
        """Record the step; the weights, the optimiser and the generators are afterwards as they were."""
        self._make_states()
        kept = copy.deepcopy((self.network.state_dict(), self._states()))
        seed = torch.initial_seed()
        try:
            self.graph = Graph(super().__call__, batch)
        except RuntimeError as error:  # torch names the operation that no graph can hold
            self.told = True
            say(f"a step of this network runs uncaptured: {str(error).splitlines()[0]}")
        self.optimiser.zero_grad(set_to_none=True)
        _fill(self.network.state_dict(), kept[0])
        _fill_all(self._states(), kept[1])
        torch.manual_seed(seed)


class Graph:
    """The work of a step on fixed memory, recorded once; called with a batch of the same shape it is replayed."""

    def __init__(self, work: Callable, batch):
        self.shape = shape(batch)
        self.batch = dataclasses.replace(batch, **{name: value.clone() for name, value in _tensors(batch).items()})
        self.names: list[str] = []

        def step() -> Tensor:
            terms = work(self.batch)
            self.names = list(terms)
            return torch.stack([value.detach().float() for value in terms.values()])

        self.replay, self.found = record(step)

    def __call__(self, batch) -> dict[str, Tensor]:
        """What the work gives for this batch, in memory of its own."""
        for name, value in _tensors(batch).items():
            getattr(self.batch, name).copy_(value)
        self.replay()
        return dict(zip(self.names, self.found.clone().unbind(), strict=True))


def record(step: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
    """(replay, what `step` returns, in memory that each replay writes anew) of a step on a GPU."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # threads that read clips go on meanwhile
        found = step()
    return graph.replay, found


_kept: list[Captured] = []  # the last one of this process


def step_of(model: nn.Module, task, budget, device: torch.device) -> Step:
    """The step that trains `model`, in training mode: on a GPU one graph, if need be that of the last training."""
    if device.type not in GRAPHS or not task.captures:
        return Step(model, task, budget, device)
    wanted = kind(model, task, budget, device)
    if not _kept or _kept[0].kind != wanted:
        _kept.clear()  # before the next one takes its memory
        _kept.append(Captured(model, task, budget, device))
    _kept[0].start(model)
    return _kept[0]


def kind(model: nn.Module, task, budget, device: torch.device) -> tuple:
    """What two trainings must have in common to share a graph: all but weights, clips, rate and number of steps."""
    tensors = tuple((name, value.shape, value.dtype) for name, value in model.state_dict().items())
    frozen = tuple(name for name, value in model.named_parameters() if not value.requires_grad)
    return (type(task), getattr(task, "params", None), tensors, frozen, device, budget.batch, budget.precision,
            budget.clip_norm, budget.weight_decay)


def shape(batch) -> tuple:
    """Names, shapes and types of what a batch holds."""
    return tuple((name, value.shape, value.dtype) for name, value in _tensors(batch).items())


def _tensors(batch) -> dict[str, Tensor]:
    found = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


@torch.no_grad()
def _fill(own: dict[str, Tensor], values: dict[str, Tensor]) -> None:
    for name, value in values.items():
        own[name].copy_(value)


def _fill_all(own: dict[int, dict[str, Tensor]], values: dict[int, dict[str, Tensor]]) -> None:
    for number, state in values.items():
        _fill(own[number], state)

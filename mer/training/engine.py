"""Train a network for a number of steps, resumable at a step to the same bytes; predict with it.

Every step's randomness (clips, augmentation, dropout) is a function of (seed, step) alone, so the only state to keep
is the network, the optimiser and the log.
"""

import dataclasses
import functools
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mer.base import portable
from mer.base.errors import MerError
from mer.base.terminal import say
from mer.training import capture, checkpoint, gradients, streaming
from mer.training.batches import Clips


@dataclass(frozen=True)
class Budget:
    """How long and how to train; the fields are those of params.yaml's `train` and `pretrain` sections.

    `steps` are resolved: a budget in epochs has as many as its training clips make.
    """

    steps: int
    batch: int
    crop: int
    flip: bool
    schedule: str
    lr: float
    weight_decay: float
    clip_norm: float
    flow_pairs: int
    checkpoint_every: int
    eval_every: int = 0
    precision: str = "fp32"


def configure(threads: int, precision: str) -> None:
    """Make torch deterministic, set its number of CPU threads (results depend on it) and TF32."""
    # cuBLAS is deterministic only with this, read when its first handle is made
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a debugging aid that costs 7 % of a step
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "fp32"
    torch.backends.cudnn.benchmark = False


def pick_device(wanted: str) -> str:
    """`auto` is CUDA where there is one.

    Raises:
        MerError: `cuda` is asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise MerError("params.yaml: train.device = 'cuda', but torch sees no GPU here; expected auto or cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


def processor(device: str) -> str:
    """What decides a network's bytes beside the packages' versions: the GPU, or what of the CPU the caps leave."""
    return torch.cuda.get_device_name() if device == "cuda" else portable.told()


def derive(*words: int | str) -> int:
    """A 63-bit seed from numbers and words, independent of their neighbours (SeedSequence's hash)."""
    numbers = [w if isinstance(w, int) else int.from_bytes(w.encode(), "little") for w in words]
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def learning_rate(step: int, budget: Budget) -> float:
    """Learning rate of a step (0-based).

    constant; exponential: down to 0.35 lr at the end, 0.987 an epoch over 80 (MMNet, for MA2MI); one_cycle: cosine up
    from lr/25 over 30 %, cosine down to 0.
    """
    if budget.schedule == "constant":
        return budget.lr
    if budget.schedule == "exponential":
        return budget.lr * 0.987 ** (80 * step / budget.steps)
    peak = max(1.0, 0.3 * budget.steps)
    if step < peak:
        return budget.lr * (0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * step / peak)))
    return budget.lr * 0.5 * (1 + math.cos(math.pi * (step - peak) / max(budget.steps - peak, 1)))


def epoch_steps(clips: int, batch: int) -> int:
    """The steps of an epoch: full batches, the rest is left out (another rest each time); of fewer clips one step."""
    return max(clips // batch, 1)


def steps(section, clips: int) -> int:
    """The steps of a section (`params.train` or `params.pretrain`) on so many training clips."""
    return section.steps if section.epochs is None else section.epochs * epoch_steps(clips, section.batch)


def epoch_rows(rows: torch.Tensor, step: int, batch: int, seed: int) -> torch.Tensor:
    """The clips of a step: each epoch goes once through a permutation of `rows` drawn from (seed, epoch)."""
    per_epoch = epoch_steps(len(rows), batch)
    epoch, part = divmod(step, per_epoch)
    return rows[_order(len(rows), derive(seed, "epoch", epoch))[part * batch:(part + 1) * batch]]


@functools.lru_cache(maxsize=2)  # of millions of frames it takes as long as a step
def _order(count: int, seed: int) -> torch.Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def train(model: nn.Module, task, clips: Clips, rows: torch.Tensor, budget: Budget, *, seed: int, state: Path,
          desc: str, evaluate: Callable[[nn.Module], list] | None = None) -> tuple[list[dict], list[tuple[int, list]]]:
    """Train `model` in place on the clips `rows` of `clips`.

    Args:
        task: a `tasks.Method`: draws the batches, gives the losses and their weights.
        state: file of the resume state, written every `budget.checkpoint_every` steps.
        desc: what is trained, for progress lines.
        evaluate: called with the network every `budget.eval_every` steps; what it returns is kept with the step.

    Returns:
        The log, one dict per step with the losses (unweighted) and the total, now and then also `gradients.norms`, and
        [(step, evaluation)].

    Raises:
        MerError: a loss is not finite.
    """
    device = clips.label.device
    live = capture.step_of(model, task, budget, device)
    start, log, evaluations = 0, [], []
    if state.exists():
        kept = checkpoint.load(state, device)
        live.load(kept["model"], kept["optimiser"])
        start, log, evaluations = kept["step"], kept["log"], kept["evaluations"]
        say(f"{desc}: continuing at step {start} of {budget.steps}")
    sources = streaming.sources(clips, lambda step: task.pick(
        clips, epoch_rows(rows, step, budget.batch, seed), budget, _draws(seed, step)), range(start, budget.steps))
    pending: list[tuple[int, dict[str, torch.Tensor]]] = []
    began = told = time.monotonic()
    live.network.train()
    for step in range(start, budget.steps):
        torch.manual_seed(derive(seed, "step", step))  # dropout
        batch = task.draw(next(sources), epoch_rows(rows, step, budget.batch, seed), budget, _draws(seed, step))
        live.rate(learning_rate(step, budget))
        pending.append((step, live(batch, measured=step % gradients.EVERY == 0)))
        done = step + 1
        if done % budget.checkpoint_every == 0 or done == budget.steps:
            log += _fetch(pending, desc)
            pending = []
        if evaluate is not None and budget.eval_every and (done % budget.eval_every == 0 or done == budget.steps):
            evaluations.append((done, evaluate(live.network)))
        if done % budget.checkpoint_every == 0 and done < budget.steps:
            checkpoint.save(state, {"model": live.network.state_dict(), "optimiser": live.optimiser.state_dict(),
                                    "step": done, "log": log, "evaluations": evaluations})
        if (now := time.monotonic()) - told > 15 and done < budget.steps:
            told, rate = now, (done - start) / (now - began)
            left = (budget.steps - done) / rate
            say(f"{desc}: step {done}/{budget.steps}, {rate:.2f} step/s, ETA {left:.0f} s")
    live.finish()
    return log, evaluations


def _draws(seed: int, step: int) -> torch.Generator:
    """What a step's batch is drawn with."""
    return torch.Generator().manual_seed(derive(seed, "batch", step))


def _fetch(pending: list[tuple[int, dict[str, torch.Tensor]]], desc: str) -> list[dict]:
    """Losses from the device to the log, in one transfer; the place where they are checked finite."""
    if not pending:
        return []
    values = iter(torch.stack([value.detach().float() for _, terms in pending for value in terms.values()]).tolist())
    log = [{"step": step + 1, **{name: next(values) for name in terms}} for step, terms in pending]
    for entry in log:
        for name in entry:
            if not name.startswith(gradients.PREFIX) and not math.isfinite(entry[name]):
                raise MerError(f"{desc}: loss {name} = {entry[name]} at step {entry['step']}; expected a finite "
                               "number; lower lr or the loss weights in params.yaml")
    return log


@torch.no_grad()
def predict(model: nn.Module, task, clips: Clips, rows: torch.Tensor, *, crop: int, batch: int = 16):
    """Yield (rows, batch, outputs) over the clips `rows` in evaluation mode; leaves the model in the mode it had."""
    was_training = model.training
    model.eval()
    try:
        for part in rows.split(batch):
            made = task.test_batch(clips, part, crop)
            yield part, made, task.forward(model, made)
    finally:
        model.train(was_training)


def budget(params, section, clips: int) -> Budget:
    """The budget of a section (`params.train` or `params.pretrain`) on so many training clips, at the run's rate."""
    names = {f.name for f in dataclasses.fields(Budget)} - {"steps", "lr", "precision"}
    values = {f.name: getattr(section, f.name) for f in dataclasses.fields(section) if f.name in names}
    return Budget(**values, steps=steps(section, clips), lr=params.lr, precision=params.train.precision)

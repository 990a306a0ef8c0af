"""What choosing a knob trains: a network judged on subjects who were taken out of its training clips."""

import dataclasses
from dataclasses import dataclass

import torch

from mer.base.errors import MerError
from mer.evaluation import predictions, protocols
from mer.evaluation.protocols import Fold
from mer.training import engine, folds
from mer.training.folds import Plan


@dataclass(frozen=True)
class Trial:
    """A network to train: `train` and `test`, positions of clips, (N,) each; `plan` has the value that is tried."""

    plan: Plan
    train: tuple[int, ...]
    test: tuple[int, ...]
    seed: int


def without(plan: Plan, people: set[str], seed: int, among: range | tuple[int, ...]) -> Trial:
    """Trained on the clips `among` but for those of `people`, on whom it is judged."""
    subject = [entry.subject for entry in plan.entries]
    return Trial(plan, tuple(i for i in among if subject[i] not in people),
                 tuple(i for i in among if subject[i] in people), seed)


def inside(plan: Plan, fold: Fold, subjects: int, seed: int) -> Trial:
    """Of one fold: both are of its training clips, the validation subjects those of `selection: inner`.

    Raises:
        MerError: no subject would be left to train on, or a tested subject is among the training ones (films name
            nobody: then nothing is known).
    """
    people = {plan.entries[i].subject for i in fold.train}
    both = people & {plan.entries[i].subject for i in fold.test}
    if both:
        raise MerError(f"tune: --inside: fold {fold.name} is trained and tested on clips of {min(both)}; expected a "
                       "protocol over subjects")
    held = protocols.inner_subjects(people, subjects, (seed, fold.name, "inner"))
    return without(plan, set(held), engine.derive(seed, fold.name, "tune"), tuple(map(int, fold.train)))


def outside(plan: Plan, fold: Fold, seed: int) -> Trial:
    """Of one fold, once the value is chosen: trained on all its training clips, judged on the tested ones."""
    return Trial(plan, *(tuple(map(int, rows)) for rows in (fold.train, fold.test)),
                 engine.derive(seed, fold.name, "tune"))


def probabilities(trial: Trial) -> torch.Tensor:
    """Train from random weights; the class probabilities (n, m) of the clips to judge."""
    plan, p = trial.plan, trial.plan.params
    engine.configure(p.train.threads, p.train.precision)
    clips, rows = folds.load_clips(plan), torch.tensor(trial.train)
    model, _ = folds.start_model(plan, clips, rows, trial.seed, "tune")
    budget = engine.budget(p, p.train, len(rows))
    budget = dataclasses.replace(budget, checkpoint_every=budget.steps + 1)
    engine.train(model, plan.task, clips, rows, budget, seed=trial.seed, state=plan.scratch / "unused.pt", desc="tune")
    return folds.probabilities(plan, model, clips, torch.tensor(trial.test))


def judge(trial: Trial) -> tuple[float, int, int]:
    """(summed log-likelihood, right, clips) of the clips to judge."""
    values, truth = probabilities(trial), torch.tensor([trial.plan.entries[i].label for i in trial.test])
    likelihood = values.clamp_min(1e-12).log()[torch.arange(len(truth)), truth].sum().item()
    return likelihood, int((values.argmax(1) == truth).sum()), len(truth)


def tested(job: tuple[Trial, str, int]) -> predictions.Predictions:
    """The prediction table of a trial, with the name of its fold and the run's seed."""
    trial, fold, seed = job
    return folds.predictions_of(folds.load_clips(trial.plan), torch.tensor(trial.test), probabilities(trial), fold,
                                seed, "last")

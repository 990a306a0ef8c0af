"""Time of a whole training step as the engine runs it, optimiser and clipping with it, captured as one graph and not.

    python tests/bench/captured_step.py                  # CPU: the step of each network, small, which nothing captures
    python tests/bench/captured_step.py --device cuda    # the paper's sizes: MOL in bf16 and TF32, FDP, MA2MI

Both arms have the same weights and batch, in turns. MA2MI's assignment of positions is solved on the CPU, so that its
pretraining cannot be captured as it is: the captured row takes `ma2mi.match: argmax`.
"""

import argparse
import dataclasses
import statistics
import sys
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import few_steps  # noqa: E402
from bench import rows, steps  # noqa: E402

from mer import params  # noqa: E402
from mer.base.knobs import read_yaml  # noqa: E402
from mer.models.ma2mi import task as ma2mi_task  # noqa: E402
from mer.training import capture, engine  # noqa: E402
from mer.training import task as tasks  # noqa: E402

# model, clips of a batch, precision on a GPU, the goal there in ms
CASES = {"mol": ("mol", 32, "bf16", 15), "mol tf32": ("mol", 32, "tf32", 30), "fdp": ("fdp", 36, "bf16", 10),
         "ma2mi": ("ma2mi", 32, "bf16", 60), "ma2mi argmax": ("ma2mi", 32, "bf16", 60)}
NAMES = {"mol": "MOL", "fdp": "FDP", "ma2mi": "MA2MI's pretraining"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", default=["mol", "fdp", "ma2mi"], choices=list(CASES))
    parser.add_argument("--profile", default="demo")
    steps.options(parser)
    return rows.parse(parser, quick={"rounds": 1},
                      cuda={"cases": list(CASES), "profile": "paper", "rounds": 20, "seconds": 15.0})


def made(args: argparse.Namespace, case: str) -> tuple[torch.nn.Module, object, object, engine.Budget]:
    """The network, its task, a batch and the budget of a case."""
    model, count, precision, _ = CASES[case]
    p = params.resolve({**read_yaml(ROOT / "params.yaml"), "model": model, "profile": args.profile})
    if "argmax" in case:
        p = dataclasses.replace(p, ma2mi=dataclasses.replace(p.ma2mi, match="argmax"))
    pretraining = model == "ma2mi"
    task = ma2mi_task.Reconstruction(p) if pretraining else tasks.task(p)
    section = p.pretrain if pretraining else p.train
    count, precision = (count, precision) if rows.on_gpu(args) else (section.batch, args.dtype)
    budget = dataclasses.replace(engine.budget(p, section, 1000), steps=1000, batch=count, precision=precision)
    data = few_steps.latents(p) if pretraining else few_steps.clips(p)
    tensors = {f.name: getattr(data, f.name) for f in dataclasses.fields(data)}
    away = {"start", "length", "frames", "mean"} if pretraining else set()  # pairs stay on the CPU
    data = dataclasses.replace(data, **{name: value.to(args.device) for name, value in tensors.items()
                                        if isinstance(value, torch.Tensor) and name not in away})
    every = torch.arange(len(data))
    network = task.build(few_steps.CLASSES).to(args.device)
    task.fit(network, data, every, budget.crop, fresh=True)
    batch = task.draw(data, every.repeat(count)[:count], budget, torch.Generator().manual_seed(0))
    return network.train(), task, batch, budget


def measure(args: argparse.Namespace, case: str) -> dict:
    network, task, batch, budget = made(args, case)
    engine.configure(args.threads, budget.precision)
    device = torch.device(args.device)
    arms = {"plain": capture.Step(network, task, budget, device)}
    with FlopCounterMode(display=False) as flop:
        arms["plain"](batch)
    if rows.on_gpu(args) and task.captures:
        arms["captured"] = capture.Captured(network, task, budget, device)
    now, times = steps.timer(args.device), {name: [] for name in arms}
    for arm in arms.values():
        arm(batch)
    for _ in steps.rounds(args):
        for name, arm in arms.items():
            started = now()
            arm(batch)
            times[name].append(1e3 * (now() - started))
    if "captured" in arms and arms["captured"].graph is None:
        sys.exit(f"{case}: it was not captured")
    found = {name: statistics.median(values) for name, values in times.items()}
    print(f"{case}, {budget.batch} clips, {budget.precision}: "
          + ", ".join(f"{name} {value:.2f} ms" for name, value in found.items()), flush=True)
    ours = found.get("captured", found["plain"])
    compared = {"other": found["plain"], "against": "the same uncaptured", "ratio": found["plain"] / ours}
    name = NAMES[CASES[case][0]] + ", argmax" * ("argmax" in case)
    kind = "captured" if "captured" in arms else "uncaptured"
    floor = steps.floor_ms(argparse.Namespace(**{**vars(args), "dtype": budget.precision}), flop.get_total_flops())
    return rows.row(f"{name}, a whole step of {budget.batch} clips, {budget.precision}, {kind}", ours, "ms",
                    **(compared if "captured" in arms else {}),
                    goal=steps.goal(args, "", f"ours <= {CASES[case][3]}"), floor=floor, floor_is=steps.FLOOR_IS)


def main() -> None:
    args = arguments()
    steps.prepare(args)
    print(f"{steps.where(args)}; torch {torch.__version__}; {vars(args)}")
    rows.emit(args, *(measure(args, case) for case in args.cases))


if __name__ == "__main__":
    main()

"""A training step whose batch is read from the shards, beside one whose data lie on the device; and peak memory.

    python tests/bench/streaming.py                          # demo profiles, CPU, one thread
    python tests/bench/streaming.py --device cuda --batch 0  # the papers' profiles; 0: their batches
    python tests/bench/streaming.py --memory                 # minutes: processes that train on 1 and 8 times the clips

On made-up clips. Both arms train in turns with the same draws, several steps at a time, by the engine itself; the time
is the process' (of all threads, so that the readers count), on a GPU the clock's. Memory is the largest resident size
of a process that does one thing.
"""

import argparse
import dataclasses
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench import rows, steps  # noqa: E402

from mer import params  # noqa: E402
from mer.base import memory, store  # noqa: E402
from mer.base.knobs import read_yaml  # noqa: E402
from mer.datasets.clips import Clip, write_clips  # noqa: E402
from mer.labels import sampling  # noqa: E402
from mer.training.batches import Entry  # noqa: E402

CLASSES, PERSON = 3, 12  # clips of a person
DONE = {"pretrain mol": "MOL's pretraining", "pretrain ma2mi": "MA2MI's pretraining",
        "latents ma2mi": "training of MA2MI's autoencoder, and latents"}


def knobs(model: str, profile: str, gb: float | None, **changes: dict) -> params.Params:
    raw = read_yaml(ROOT / "params.yaml")
    changes["train"] = {**changes.get("train", {}), "resident_gb": gb}
    return params.resolve({**raw, "model": model, "profile": profile, **{
        name: {**raw[name], **section} for name, section in changes.items()}})


def entry(i: int, frames: int) -> Entry:
    """The clip number i."""
    return Entry(Clip(f"c{i}", "made", "1", f"made/s{i - i % PERSON}", "", 1, frames, 1, frames // 2, frames, 100.0, "",
                      "", ""), i % CLASSES)


def stores(data: Path, p: params.Params, clips: int, frames: int) -> tuple[Entry, ...]:
    """Aligned clips of noise and their flow labels, in stores below `data`."""
    rng, entries, side = np.random.default_rng(0), tuple(entry(i, frames) for i in range(clips)), p.align.size
    for first in range(0, clips, PERSON):
        aligned, flow = {}, {}
        for clip in (one.clip for one in entries[first:first + PERSON]):
            numbers, annotation = np.arange(1, frames + 1), np.array([1, frames // 2, frames])
            aligned[clip.clip_id] = {
                "frames": rng.integers(0, 256, (frames, side, side), np.uint8), "numbers": numbers,
                "points": rng.uniform(0, side, (frames, 68, 2)).astype(np.float32), "annotation": annotation}
            words = {"t": p.sampling.t, "sets": p.sampling.sets, "seed_words": (p.sampling.seed, clip.clip_id)}
            pair = sampling.labelled_pairs(pairs=p.flow.pairs, **words)
            flow[clip.clip_id] = {
                "index": sampling.clip_sets(numbers, annotation, span=p.sampling.span, **words), "pair": pair,
                "flow": rng.normal(size=(len(pair), 2, side, side)).astype(np.float16)}
        for stage, made in (("aligned", aligned), ("flow", flow)):
            store.write_shard(data / stage / f"made/s{first}.h5", made)
    for stage in ("aligned", "flow"):
        write_clips(data / stage / "made/clips.csv", [one.clip for one in entries])
        store.write_json(data / stage / "made/summary.json", {"excluded": [], "index": {}, "clips": clips})
    return entries


def measure_steps(args: argparse.Namespace, model: str) -> dict:
    import torch

    from mer.training import engine
    from mer.training import task as tasks

    now = steps.timer(args.device)
    arms = {name: knobs(model, args.profile, gb) for name, gb in (("streamed", 0.0), ("resident", 1e6))}
    times: dict[str, list[float]] = {name: [] for name in arms}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        entries = stores(data, arms["resident"], args.clips, args.frames)
        ready = {}
        for name, p in arms.items():
            task = tasks.task(p)
            clips, which = task.load(data, entries, args.device), torch.arange(args.clips)
            network = task.build(CLASSES).to(args.device)
            budget = engine.budget(p, p.train, args.clips)
            budget = dataclasses.replace(budget, steps=args.steps, batch=args.batch or budget.batch,
                                         checkpoint_every=10**6)
            task.fit(network, clips, which, budget.crop, fresh=True)
            ready[name] = network, task, clips, which, budget
        for number in range(args.rounds + 1):  # the first one is not counted
            for name, given in ready.items():
                began = now()
                engine.train(*given, seed=number, state=data / "none.pt", desc=name)
                times[name] += [(now() - began) / args.steps] * (number > 0)
    ours, other = (1e3 * statistics.median(times[name]) for name in ("streamed", "resident"))
    print(f"{model}: {ours:.2f} ms a step streamed, {other:.2f} ms resident, ratio {other / ours:.3f}")
    return rows.row(f"{model.upper()}, a step of {ready['streamed'][4].batch} clips, streamed", ours, "ms", other=other,
                    against="data on the device", ratio=other / ours, goal="ratio >= 0.87")


def one(words: str, data: Path, clips: int, frames: int, gb: float) -> None:
    """In a process of its own: do it and print the peak, MB."""
    from mer.models.ma2mi import autoencoder_training, encoding, pairs
    from mer.training import folds, pretrain

    what, model = words.split()
    few = {"pretrain": {"steps": 4, "epochs": None, "threads": 1}}
    p = knobs(model, "demo", gb, **few, **({"ma2mi": {"conv_ae_steps": 4}} if model == "ma2mi" else {}))
    entries = tuple(entry(i, frames) for i in range(clips))
    if what == "latents":
        autoencoder_training.run(p, [data / "aligned/made"], data / "scratch", data / "latents", "cpu")
        network, _ = pairs.open_autoencoder(p.ma2mi, data / "latents/autoencoder.pt")
        encoding.encode(network, data, "made", data / "latents", crop=p.pretrain.crop, size=p.ma2mi.size)
        store.write_json(data / "latents/summary.json", store.read_json(data / "aligned/made/summary.json") | {
            "grey_error": 0.0, "grey_error_mean_picture": 0.0})
    else:
        plan = folds.Plan(p, data, entries, ("a", "b", "c"), None, data / "scratch", "cpu")
        pretrain.run(plan, 0, data / f"pretrained {gb}")
    print(memory.peak()["memory_mb"])


def measure_memory(args: argparse.Namespace) -> list[dict]:
    found: dict[tuple[str, int, float], int] = {}
    for model in ("mol", "ma2mi"):
        for times in (1, 8):
            with tempfile.TemporaryDirectory() as folder:
                stores(Path(folder), knobs(model, "demo", None), times * args.clips, args.frames)
                for words in (words for words in reversed(DONE) if words.endswith(f" {model}")):
                    for gb in (0.0, 1e6):
                        done = subprocess.run([sys.executable, __file__, "--one", words, "--data", folder, "--clips",
                                               str(times * args.clips), "--frames", str(args.frames), "--gb", str(gb)],
                                              capture_output=True, text=True, check=True)
                        found[words, times, gb] = int(done.stdout.splitlines()[-1])
                        print(f"{words}, {times * args.clips} clips, {'resident' if gb else 'streamed'}: "
                              f"{found[words, times, gb]} MB", flush=True)
    return [rows.row(f"{name}, peak memory with 8 times {args.clips} clips, {'resident' if gb else 'streamed'}",
                     found[words, 8, gb], "MB", other=found[words, 1, gb], against=f"{args.clips} clips",
                     ratio=found[words, 1, gb] / found[words, 8, gb], goal="" if gb else "ratio >= 0.91")
            for words, name in DONE.items() for gb in (0.0, 1e6)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["mol", "fdp"])
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--clips", type=int, default=96)
    parser.add_argument("--frames", type=int, default=16, help="of a clip")
    parser.add_argument("--batch", type=int, default=4, help="clips; 0: the profile's")
    parser.add_argument("--steps", type=int, default=8, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--memory", action="store_true", help="peak memory with 1 and 8 times the clips")
    parser.add_argument("--one", choices=tuple(DONE), help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--gb", type=float, help=argparse.SUPPRESS)
    args = rows.parse(parser, quick={"clips": 8, "steps": 2, "rounds": 1, "batch": 2},
                      cuda={"profile": "paper", "batch": 0, "steps": 20})
    if args.one:
        one(args.one, args.data, args.clips, args.frames, args.gb)
        return
    from mer.training import engine

    engine.configure(args.threads, "fp32")
    rows.emit(args, *(measure_memory(args) if args.memory else [measure_steps(args, model) for model in args.models]))


if __name__ == "__main__":
    main()

"""What the label stages share: the command line, the index, and a map over clips that survives being killed."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from mer.base import cost, environment, graph, knobs, parallel, store
from mer.base.errors import main
from mer.datasets import clips as clip_table
from mer.datasets.clips import Clip
from mer.labels.records import Record


def command(stage: str, source: str, about: str, run: Callable[[str, object, list[Clip], dict], None],
            **kinds: type) -> None:
    """Run a stage as `python -m stages.<stage> <dataset>`: `run(dataset, parameters, clips, summary of `source`)`.

    `kinds`: the sections of params.yaml that it reads, by their dataclasses.
    """
    def body() -> None:
        parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=about)
        parser.add_argument("dataset", help="one of params.yaml's datasets or pretrain.sources")
        dataset = parser.parse_args().dataset
        # first, so that a wrong knob is told within the first second
        p = knobs.sections(**kinds, parallel=knobs.Parallel)
        folder = Path("data") / source / dataset
        clips, before = clip_table.read_clips(folder / "clips.csv"), store.read_json(folder / "summary.json")
        environment.tell(stage, [before])
        cost.nothing(f"{stage}@{dataset}")  # until it is `done`, and where these settings make an empty store
        run(dataset, p, clips, {**before, "made_with": environment.made_with(stage, dataset, before)})

    main(body)


def label(stage: str, dataset: str, fn: Callable[..., Record], items: Iterable[tuple[str, object]],
          p, *inputs: object, state: object = None) -> dict[str, Record]:
    """Map `fn` over (clip id, item) on all cores: {clip id: record}; finished clips survive an interrupted run.

    Args:
        p: the parameters, with the stage's sections and `parallel`.
        inputs: plain values that decide the records beside what dvc.yaml declares of the stage.
        state: of this machine's files, for a restart alone.
    """
    items = list(items)
    name, decides = f"{stage}@{dataset}", [graph.inputs(stage, p, item=dataset), *inputs]
    scratch = parallel.scratch_dir(name, *decides, state)
    parallel.clear_scratch(name, keep=scratch)
    cost.begin(name, *decides, scratch=scratch)
    records = parallel.work(fn, items, desc=f"{stage} {dataset}", workers=p.parallel.workers,
                            on=p.parallel, scratch=scratch)
    return dict(zip((name for name, _ in items), records, strict=True))


def done(stage: str, dataset: str) -> None:
    """The stage's store is complete: write what it cost, drop the finished clips kept for a restart."""
    cost.end(f"{stage}@{dataset}")
    parallel.clear_scratch(f"{stage}@{dataset}")


def raw_state(raw_root: Path, clips: Iterable[Clip]) -> list[list]:
    """[folder, file, bytes, time of change] of every frame file, for a restart's key; hashing a release costs more."""
    folders = dict.fromkeys(clip.frames_dir for clip in clips)
    files = ((folder, path) for folder in folders for path in sorted((raw_root / folder).glob("*")))
    return [[folder, path.name, path.stat().st_size, path.stat().st_mtime_ns] for folder, path in files]

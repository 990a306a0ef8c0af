"""What the label stages share: the command line, the index, and a map over clips that survives being killed."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from mer.base import cost, disk, environment, graph, knobs, parallel, store
from mer.base.errors import main
from mer.base.scratch import clear_scratch, scratch_dir, work
from mer.datasets import clips as clip_table
from mer.datasets.clips import Clip
from mer.labels import shards
from mer.labels.records import Made, Record


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


def label(stage: str, dataset: str, fn: Callable[..., Record], items: Iterable[tuple[str, object]], p, *inputs: object,
          clips: Iterable[Clip], before: dict, attrs: dict, size: float, names: tuple[str, ...] = (),
          tell: Callable[[Record], dict] = shards.nothing, state: object = None) -> Made:
    """Map `fn` over (clip id, item) on all cores; finished clips survive an interrupted run. See `shards`.

    No record comes into this process: each goes from the process that made it to the disk.

    Args:
        p: the parameters, with the stage's sections and `parallel`.
        inputs: plain values that decide the records beside what dvc.yaml declares of the stage.
        clips: they say which subject an item belongs to; before: the summary of the store that is read.
        attrs: units and parameters, stored in every shard.
        size: of the store, bytes, about.
        tell, names: what the stage's summary needs to know of a labelled clip, by its arrays `names`.
        state: of this machine's files, for a restart alone.

    Raises:
        MerError: the disk is too small.
    """
    items, name, attrs = list(items), f"{stage}@{dataset}", {**attrs, "made_with": before.get("made_with", {})}
    wanted = shards.subjects(clips, {clip_id for clip_id, _ in items})
    decides = [graph.inputs(stage, p, item=dataset), *inputs]
    scratch = scratch_dir(name, *decides, state)
    clear_scratch(name, keep=scratch)
    workers = min(p.parallel.workers or parallel.cores(), len(wanted) or 1)  # each joins a shard of what is there
    disk.ask(f"{stage} {dataset}", size * (1 + workers / (len(wanted) or 1)) - disk.used(scratch.rglob("*")),
             scratch, Path("data"))
    cost.begin(name, *decides, scratch=scratch)
    how = {"workers": p.parallel.workers, "on": p.parallel}
    work(fn, items, scratch, attrs=attrs, desc=f"{stage} {dataset}", made=shards.joined(scratch, wanted), **how)
    join = shards.Join(scratch, attrs, tell, names)
    made = parallel.run_items(join, [(name, (name, ids)) for name, ids in wanted.items()],
                              desc=f"{stage} {dataset}, shards", unit="shard", **how)
    digests = {name: digest for name, (digest, _, _) in zip(wanted, made, strict=True) if digest}
    told, excluded = ({clip_id: value for one in made for clip_id, value in one[part].items()} for part in (1, 2))
    return Made(scratch / shards.FOLDER, digests, told, excluded)


def done(stage: str, dataset: str) -> None:
    """The stage's store is complete: write what it cost, drop the finished clips kept for a restart."""
    cost.end(f"{stage}@{dataset}")
    clear_scratch(f"{stage}@{dataset}")

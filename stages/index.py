"""index@D: raw release -> data/index/D/clips.csv and summary.json, counted against the published numbers."""

import argparse
from pathlib import Path

from mer.base import cost, environment, graph, knobs
from mer.base.errors import main
from mer.base.store import write_json
from mer.datasets import releases
from mer.datasets.clips import raw_root, write_clips
from mer.datasets.index import build_index, refuse_unusable


def run() -> None:
    """Write the index of the dataset named on the command line.

    Raises:
        MerError: an unknown name, a release that cannot be read, counts that are not the published ones, or a label
            set that cannot be learned.
    """
    parser = argparse.ArgumentParser(prog="python -m stages.index", description=__doc__)
    parser.add_argument("dataset", help="one of params.yaml's datasets or pretrain.sources")
    dataset = parser.parse_args().dataset
    index = knobs.sections(index=releases.Index).index
    releases.reader(dataset)  # an unknown name is told before its missing folder is
    before = environment.read(raw_root(dataset) / "truth")
    environment.tell("index", before or environment.read(environment.RECORD))
    clips, summary = build_index(
        dataset, raw_root(dataset), accept_counts=index.accept_counts, images=index.images,
        variant=getattr(index, dataset) if releases.of(dataset).variants else None)
    refuse_unusable(dataset, summary, knobs.read_yaml(Path("params.yaml")))
    # the landmark stage depends on the index alone: a changed frame changes this number, and so runs it again
    folders = sorted({clip.frames_dir for clip in clips})
    summary["frames_sha256"] = graph.digest(*(raw_root(dataset) / folder for folder in folders))
    summary["made_with"] = environment.made_with("index", dataset, *before)
    out = Path("data/index") / dataset
    write_clips(out / "clips.csv", clips)
    write_json(out / "summary.json", summary)
    cost.begin(f"index@{dataset}", index, graph.digest(out))  # the frames' hash is in it: what it reads is hashed once
    cost.end(f"index@{dataset}")


if __name__ == "__main__":
    main(run)

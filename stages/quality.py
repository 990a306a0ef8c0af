"""quality: what was read, left out, and how good its labels are -> reports/quality.json, reports/plots/labels/."""

import argparse
import functools
from pathlib import Path

from mer import params
from mer.base import environment, parallel, store
from mer.base.errors import main
from mer.datasets.class_sets import class_index, label_set
from mer.datasets.clips import raw_root, read_clips
from mer.datasets.releases import is_synthetic
from mer.labels import quality, records
from mer.labels.truth import true_record
from mer.reporting import quality_plots

FLOW_CLIPS = 16  # clips per dataset whose onset-to-apex flow is compared with the truth


def measure(dataset: str, set_name: str, p: params.Params) -> quality.Quality:
    """The quality of one dataset's labels, its pictures drawn."""
    clips = read_clips(f"data/aligned/{dataset}/clips.csv")
    labels = label_set(dataset, set_name, "data/aligned")
    class_of = {c.clip_id: labels.names[k] for c in clips if (k := class_index(c, labels)) is not None}
    root, aligned, landmarks = raw_root(dataset), f"data/aligned/{dataset}", f"data/landmarks/{dataset}"
    result = quality.Quality(numbers={"is_synthetic": int(is_synthetic([dataset]))})
    quality.measure_landmarks(result, records.each(landmarks, clips, ("points", "how", "score", "numbers")),
                              lambda clip: true_record(root, clip, ("numbers", "points")),
                              len(store.read_json(f"{landmarks}/summary.json")["excluded"]))
    quality.measure_magnitude(result, records.read_labelled(f"data/flow/{dataset}", ("flow",)), class_of)
    picked = quality.chosen([c for c in records.labelled(aligned, clips) if c.clip_id in class_of], FLOW_CLIPS)
    quality.measure_flow(result, parallel.run_items(
        functools.partial(quality.onset_apex_item, aligned=aligned, raw_root=root), [(c.clip_id, c) for c in picked],
        desc=f"quality {dataset}", unit="clip", workers=p.parallel.workers, on=p.parallel))
    note = " (synthetic data)" if result.numbers["is_synthetic"] else ""
    quality_plots.draw(result, Path("reports/plots/labels") / dataset, f"{dataset}{note}")
    return result


def run() -> None:
    """Write what the head of this file names; a wrong params.yaml is a MerError before any work."""
    argparse.ArgumentParser(prog="python -m stages.quality", description=__doc__).parse_args()
    p = params.load()
    wanted = [(d, p.classes) for d in p.datasets] + [(d, p.pretrain.classes) for d in p.pretrain.sources]
    before = environment.reused("quality", (d for d, _ in wanted))
    numbers, told = {}, {}
    for dataset, set_name in wanted:
        told[dataset] = {"index": store.read_json(f"data/aligned/{dataset}/summary.json")["index"],
                         "excluded": records.exclusions("data", dataset)}
        found = measure(dataset, set_name, p).numbers
        numbers |= {f"{dataset}.{name}": value for name, value in found.items()}
        print("\n".join([f"quality {dataset}:", *(f"  {name:<28}{value:>12.4g}" for name, value in found.items())]))
    store.write_json("reports/quality.json", numbers)
    store.write_json("reports/plots/labels/data.json",
                     {"datasets": told, "made_with": environment.made_with("quality", "", *before)})


if __name__ == "__main__":
    main(run)

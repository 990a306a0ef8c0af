"""flow@D: TV-L1 flow between consecutive sampled frames of the aligned crops, MOL's flow labels -> data/flow/D."""

import functools
from dataclasses import asdict, replace

from mer.base import store
from mer.labels import flow, records, sizes
from mer.labels.run import command, done, label
from mer.labels.sections import Flow, Sampling


def run(dataset, p, clips, before) -> None:
    """Write the store of `dataset`.

    Args:
        p: the sections of params.yaml that `command` is told below, and `parallel`.
        clips: the rows of the store that it reads; before: the summary of that store.
    """
    out, source = f"data/flow/{dataset}", f"data/aligned/{dataset}"
    asked = store.read_json(f"data/check/labels/{dataset}.json")
    settings = {**asdict(p.sampling), "sets": asked["sets"], **asdict(p.flow)}
    attrs = {"units": "flow: crop pixels, u right, v down; index: positions into the aligned frames", **settings}
    if p.flow.solver == "torch":
        p.parallel = replace(p.parallel, workers=1)  # one process fills the GPU
    else:
        del attrs["solver"]  # both give the same bits
    if "flow" not in asked["labels"]:
        records.write(out, "flow", clips, {}, attrs=attrs, summary={"dataset": dataset, "used": False}, before=before)
        print(f"flow {dataset}: model {asked['model']} asks for no flow here, an empty store is written")
        return
    flow.tell(p.flow.solver)
    labelled = records.labelled(source, clips)
    made = label("flow", dataset, functools.partial(flow.flow_item, aligned=source, **settings),
                 [(clip.clip_id, clip) for clip in labelled], p, clips=clips, before=before, attrs=attrs,
                 tell=flow.tell_clip, names=flow.TOLD,
                 size=sizes.flow(len(labelled), sizes.side(source), t=p.sampling.t, sets=asked["sets"],
                                 pairs=p.flow.pairs))
    told = made.told.values()
    summary = records.finish(
        out, "flow", clips, made, before=before,
        summary={"dataset": dataset, "used": True, "pairs": sum(one["pairs"] for one in told),
                 "short_clips": sum(one["short"] for one in told),
                 "without_apex": sum(clip.apex is None for clip in labelled)})
    note = f", {summary['without_apex']} without apex use the middle frame" if p.sampling.t == 2 else ""
    print(f"flow {dataset}: {summary['clips']} clips, {summary['pairs']} labelled pairs; {summary['short_clips']} "
          f"clips shorter than {p.sampling.t} frames repeat some{note}; {len(summary['excluded'])} clips excluded")
    done("flow", dataset)


if __name__ == "__main__":
    command("flow", "aligned", __doc__, run, sampling=Sampling, flow=Flow)

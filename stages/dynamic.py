"""dynamic@D: dynamic images of the sampled frames, FDP's reconstruction target -> data/dynamic/D."""

import functools
from dataclasses import asdict

from mer.base import store
from mer.labels import dynamic_image, records, sizes
from mer.labels.run import command, done, label
from mer.labels.sections import Dynamic, Sampling


def run(dataset, p, clips, before) -> None:
    """Write the store of `dataset`.

    Args:
        p: the sections of params.yaml that `command` is told below, and `parallel`.
        clips: the rows of the store that it reads; before: the summary of that store.
    """
    out, source = f"data/dynamic/{dataset}", f"data/aligned/{dataset}"
    asked = store.read_json(f"data/check/labels/{dataset}.json")
    settings = {**asdict(p.sampling), "sets": asked["sets"], **asdict(p.dynamic)}
    attrs = {"units": "dynamic: 0 to 1; index: positions into the aligned frames", **settings}
    if "dynamic" not in asked["labels"]:
        records.write(out, "dynamic", clips, {}, attrs=attrs, summary={"dataset": dataset, "used": False},
                      before=before)
        print(f"dynamic {dataset}: model {asked['model']} uses no dynamic images, an empty store is written")
        return
    labelled = records.labelled(source, clips)
    made = label("dynamic", dataset, functools.partial(dynamic_image.dynamic_item, aligned=source, **settings),
                 [(clip.clip_id, clip) for clip in labelled], p, clips=clips, before=before, attrs=attrs,
                 size=sizes.dynamic(len(labelled), sizes.side(source), sets=asked["sets"]))
    summary = records.finish(out, "dynamic", clips, made, before=before, summary={"dataset": dataset, "used": True})
    print(f"dynamic {dataset}: {summary['clips']} clips; {len(summary['excluded'])} clips excluded")
    done("dynamic", dataset)


if __name__ == "__main__":
    command("dynamic", "aligned", __doc__, run, sampling=Sampling, dynamic=Dynamic)

"""align@D: crops by one similarity per clip, and the landmarks in them -> data/aligned/D."""

import functools
from dataclasses import asdict

import numpy as np

from mer.datasets.clips import raw_root
from mer.labels import align, listing, records, sizes
from mer.labels.run import command, done, label
from mer.labels.sections import Align


def run(dataset, p, clips, before) -> None:
    """Write the store of `dataset`.

    Args:
        p: the sections of params.yaml that `command` is told below, and `parallel`.
        clips: the rows of the store that it reads; before: the summary of that store.
    """
    root, source, settings = raw_root(dataset), f"data/landmarks/{dataset}", asdict(p.align)
    fn = functools.partial(align.align_item, raw_root=str(root), marks=source, **settings)
    files, state = listing.listed(root, clips)
    made = label("align", dataset, fn, [(clip.clip_id, (clip, files[clip.clip_id]))
                                        for clip in records.labelled(source, clips)], p,
                 clips=clips, before=before, tell=align.tell, names=align.TOLD, state=state,
                 attrs={"units": "points: crop pixels, x right, y down; matrix: raw to crop; annotation: frame numbers",
                        **settings},
                 size=sizes.aligned(before["clips"], before["frames"], p.align.size))
    scale = [value for told in made.told.values() for value in told["scale"]]
    summary = records.finish(
        f"data/aligned/{dataset}", "align", clips, made, before=before,
        summary={"dataset": dataset, "frames": sum(told["frames"] for told in made.told.values()),
                 "crop_px_per_raw_px": round(float(np.median(scale)), 4) if scale else None})
    print(f"align {dataset}: {summary['clips']} clips, {summary['frames']} frames of {p.align.size} x {p.align.size}, "
          f"median scale {summary['crop_px_per_raw_px']}; {len(summary['excluded'])} clips excluded")
    done("align", dataset)


if __name__ == "__main__":
    command("align", "landmarks", __doc__, run, align=Align)

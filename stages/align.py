"""align@D: crops by one similarity per clip, and the landmarks in them -> data/aligned/D."""

import functools
from dataclasses import asdict

import numpy as np

from mer.datasets.clips import raw_root
from mer.labels import align, records
from mer.labels.run import command, done, label, raw_state
from mer.labels.sections import Align


def run(dataset, p, clips, before) -> None:
    """Write the store of `dataset`.

    Args:
        p: the sections of params.yaml that `command` is told below, and `parallel`.
        clips: the rows of the store that it reads; before: the summary of that store.
    """
    root, source = raw_root(dataset), f"data/landmarks/{dataset}"
    marks, _ = records.read(source, clips, ["points", "how", "numbers"])
    settings = asdict(p.align)
    fn = functools.partial(align.align_clip, raw_root=str(root), **settings)
    items = [(clip.clip_id, (clip, marks[clip.clip_id])) for clip in clips if clip.clip_id in marks]
    made = label("align", dataset, fn, items, p, state=raw_state(root, clips))
    kept = [record for record in made.values() if "excluded" not in record]
    scale = [float(np.sqrt(np.linalg.det(m[:, :2]))) for r in kept for m in np.reshape(r["matrix"], (-1, 2, 3))]
    summary = records.write(
        f"data/aligned/{dataset}", "align", clips, made, before=before,
        attrs={"units": "points: crop pixels, x right, y down; matrix: raw to crop; annotation: frame numbers",
               **settings},
        summary={"dataset": dataset, "frames": sum(len(r["frames"]) for r in kept),
                 "crop_px_per_raw_px": round(float(np.median(scale)), 4) if scale else None})
    print(f"align {dataset}: {summary['clips']} clips, {summary['frames']} frames of {p.align.size} x {p.align.size}, "
          f"median scale {summary['crop_px_per_raw_px']}; {len(summary['excluded'])} clips excluded")
    done("align", dataset)


if __name__ == "__main__":
    command("align", "landmarks", __doc__, run, align=Align)

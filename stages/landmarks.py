"""landmarks@D: dlib's face box and 68 points of every frame, in raw pixels -> data/landmarks/D."""

import functools

from mer.datasets.clips import raw_root
from mer.labels import faces, listing, records, sizes
from mer.labels.run import command, done, label
from mer.labels.sections import Landmarks


def run(dataset, p, clips, before) -> None:
    """Write the store of `dataset`.

    Args:
        p: the sections of params.yaml that `command` is told below, and `parallel`.
        clips: the rows of the store that it reads; before: the summary of that store.
    """
    root = raw_root(dataset)
    path = faces.predictor_path(p.landmarks.model_path)
    settings = {"upsample_retry": p.landmarks.upsample_retry, "whole_every": p.landmarks.whole_every}
    fn = functools.partial(faces.landmark_item, raw_root=str(root), model_path=str(path), **settings)
    files, state = listing.listed(root, clips)
    made = label("landmarks", dataset, fn, [(clip.clip_id, (clip, files[clip.clip_id])) for clip in clips], p,
                 path.name, path.stat().st_size, clips=clips, before=before, tell=faces.tell, names=faces.TOLD,
                 attrs={"units": "points and boxes: raw pixels, x right, y down", "predictor": path.name, **settings},
                 size=sizes.landmarks(len(clips), sum(map(listing.count, files.values()))), state=state)
    summary = records.finish(
        f"data/landmarks/{dataset}", "landmarks", clips, made,
        before={"excluded": [], "index": before, "made_with": before.get("made_with", {})},
        summary={"dataset": dataset, **faces.counts(made.told.values())})
    print("landmarks {dataset}: {clips} clips, {frames} frames; face found in {detected} ({upsampled} only after "
          "enlarging), {neighbour} took a neighbour's box, {several_faces} hold several faces; "
          "{clips_other_faces} clips show another face, "
          "in {clips_not_largest} a larger one; in {clips_jump} the points jump; {n} clips excluded"
          .format(**summary, n=len(summary["excluded"])))
    done("landmarks", dataset)


if __name__ == "__main__":
    command("landmarks", "index", __doc__, run, landmarks=Landmarks)

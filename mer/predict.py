"""`python -m mer.predict CLIP`: apply a finished experiment to a clip of your own, a video or a folder of frames.

The clip goes the pipeline's own way: dlib's landmarks, one alignment, the centre crop, the frames that are sampled in
tests, the model's task. Ctrl-C keeps what the face detector, which takes most of the time, has found: the same command
goes on from there. What comes out are scores of a softmax, not calibrated probabilities. A fold's network may be
applied to anyone for a look, but measures nothing on a subject that it was trained on.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from mer.base import store
from mer.base.command import prog
from mer.base.errors import MerError, main
from mer.runs import finished, networks


def table(judged) -> str:
    """The scores (an `apply.Judged`) as text."""
    from mer.runs import apply

    width = max(map(len, ("class", *judged.run.classes)))
    one = len(judged.networks) == 1
    head = "" if one else f" {'sd':>7} {'lowest':>7} {'highest':>7}  preferred by"
    lines = [f"{'class':<{width}} {'score':>7}{head}"]
    for name, mean, sd, low, high, count in apply.rows(judged):
        spread = "" if one else f" {sd:7.4f} {low:7.4f} {high:7.4f}  {count} of {len(judged.networks)}"
        lines.append(f"{name:<{width}} {mean:7.4f}{spread}")
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(prog=prog("mer.predict"), description=__doc__.splitlines()[0])
    made.add_argument("clip", type=Path, help="a video, or a folder of frames with numbers in their names")
    made.add_argument("--run", default=".", metavar="DIR", help="project, its data folder, or an export (default .)")
    made.add_argument("--fold", default="all", help="one fold's network, e.g. casme2/sub01, or all: the mean")
    made.add_argument("--seed", type=int, help="the networks of one seed (default: of all)")
    for name in ("onset", "apex", "offset"):
        made.add_argument(f"--{name}", type=int, metavar="FRAME", help="frame number (a video's first frame is 1)")
    made.add_argument("--out", type=Path, metavar="DIR", help="folder of the page (default predict/<clip>)")
    return made


def run() -> None:
    """Judge the clip, write the page and scores.csv, print the class probabilities.

    Raises:
        MerError: as `open_run`, `choose`, `footage` and `judge`.
    """
    asked = parser().parse_args()
    experiment = finished.open_run(asked.run)
    chosen = networks.choose(experiment, asked.fold, asked.seed)
    from mer.reporting import clip_page
    from mer.runs import apply, footage, kept  # slow to import: after the check

    film = footage.footage(asked.clip)
    clip = footage.annotate(film, asked.onset, asked.apex, asked.offset)
    out = asked.out or Path("predict") / clip.clip_id
    made = _prepare(out)
    try:  # warned at once, because a long film takes its time
        judged = apply.judge(experiment, chosen, film, clip, lambda words: print(f"warning: {words}", flush=True), out)
    except MerError:
        if made is not None:
            shutil.rmtree(made)
        raise

    store.write_csv(out / "scores.csv", ["seed", "fold", *experiment.classes],
                    [[n.seed, n.fold, *map(float, p)] for n, p in zip(chosen, judged.p, strict=True)])
    store.write_text(out / "index.html", clip_page.build(judged))
    kept.forget(out)
    which = chosen[0].name if len(chosen) == 1 else f"mean of {len(chosen)} networks"
    print(f"{asked.clip}: {which}\n{apply.trained_on(experiment)}\n")
    print(table(judged))
    written = f"written: {(out / 'index.html').as_posix()}"
    print("\n".join(["", apply.NOT_CALIBRATED, apply.NOT_TO_MEASURE, *judged.notes, written]))


def _prepare(out: Path) -> Path | None:
    """Make the folder; the outermost that was not there, None if all were. MerError where it cannot be written."""
    made = next((folder for folder in (*reversed(out.parents), out) if not folder.exists()), None)
    try:
        fresh = made is not None or not any(out.iterdir())
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
        if fresh:  # a folder of its own: its face must not get into Git by accident
            store.write_text(out / ".gitignore", "*\n")
    except OSError as error:
        raise MerError(f"--out {out}: {error.strerror}; expected a folder that can be written") from None
    return made


if __name__ == "__main__":
    main(run)

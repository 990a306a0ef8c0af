"""Writing the synthetic releases: clips.csv, one folder of frames per clip, and one shard of truth per subject.

    <root>/clips.csv                       clip_id,subject,frames,onset,apex,offset,fps,label,aus
    <root>/frames/<clip_id>/img<N>.jpg     N = 1 ... T, not padded
    <root>/truth/<subject>.h5              per clip: numbers (T,) of the frames, points (T, 68, 2), flow (2, H, W) onset
                                           to apex, eye_mask (H, W)

clips.csv with its folders of frames is the plain layout in which anyone can bring their own dataset; truth is extra.
"""

import os
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np

from mer.base import cost, disk, environment, parallel, store
from mer.base.knobs import HERE, Parallel
from mer.base.scratch import clear_scratch, scratch_dir
from mer.datasets.synthetic.plan import Release, Settings, releases
from mer.datasets.synthetic.render import MAX_GRADIENT, Subject
from mer.datasets.synthetic.script import Script, write_script

HEADER = ("clip_id", "subject", "frames", "onset", "apex", "offset", "fps", "label", "aus")


def clip_script(subject: Subject, word: str, number: int) -> Script:
    """The clip's script, its intensities reduced where the subject's skin would fold over itself."""
    script = write_script(subject.release, subject.index, word, number)
    steepest = 0.0
    for frame in {script.apex, *np.argmax(script.intensity, axis=0).tolist()} if script.units else ():
        field = subject.field(script, frame)
        if field is not None:
            gradients = [np.abs(np.diff(field, axis=axis)).sum(-1) / 2 for axis in (0, 1)]  # the grid's step is 2 px
            steepest = max(steepest, *(float(gradient.max()) for gradient in gradients))
    return script if steepest <= MAX_GRADIENT else replace(script, intensity=script.intensity * MAX_GRADIENT / steepest)


def write_frames(subject: Subject, script: Script, folder: Path) -> None:
    """Render a clip into `folder`, which appears only when it is complete."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True)
    try:
        quality = [cv2.IMWRITE_JPEG_QUALITY, subject.release.jpeg_quality]
        with store.naming(folder):
            for frame in range(subject.release.frames):
                data = cv2.imencode(".jpg", subject.frame(script, frame), quality)[1]
                (temporary / f"img{frame + 1}.jpg").write_bytes(data.tobytes())
            os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def render_subject(task: tuple[Release, int, Path]) -> list[tuple]:
    """Write frames and truth of all clips of one subject (0-based index) below `root`; returns their rows of clips.csv.

    Clips whose folder is already there are not rendered again.
    """
    release, index, root = task
    cv2.setNumThreads(1)  # the work is spread over processes, a subject each
    subject = Subject(release, index)
    name = release.subject_name(index)
    rows, truth = [], {}
    for clip_id, word, number in release.clips(index):
        script = clip_script(subject, word, number)
        folder = root / "frames" / clip_id
        if not folder.is_dir():
            write_frames(subject, script, folder)
        flow, eye_mask = subject.flow(script, script.onset, script.apex)
        points = np.stack([subject.points(script, frame) for frame in range(release.frames)])
        truth[clip_id] = {"numbers": np.arange(1, len(points) + 1, dtype=np.int32), "points": points,
                          "flow": flow, "eye_mask": eye_mask}
        rows.append((clip_id, name, f"frames/{clip_id}", script.onset + 1, script.apex + 1, script.offset + 1,
                     release.fps, word, script.aus))  # fmt: skip
    about = {"points": "px of the frame", "flow": "px of the frame, onset to apex", "eye_mask": "1 = flow not valid",
             "settings": asdict(release), "made_with": environment.made_with("synthesize")}  # fmt: skip
    store.write_shard(root / "truth" / f"{name}.h5", truth, about)
    return rows


def size(plan: Release) -> int:
    """Bytes of a release, about: JPEGs (quality 95) and points of each frame, true flow and its mask of each clip."""
    clips = sum(len(list(plan.clips(index))) for index in range(plan.subjects))
    pixels = plan.width * plan.height
    return clips * (plan.frames * (pixels // 2 + 68 * 2 * 8) + pixels * 5)


def make(cfg: Settings, folders: tuple[Path, Path], *, on: Parallel = HERE) -> None:
    """Render the micro and the macro release of the `synthetic` parameters into their folders, replacing them.

    Everything is rendered into the stage's scratch folder and moved when both releases are complete. A run that was
    interrupted goes on behind the last complete clip and ends in the same bytes.

    Raises:
        MerError: an unknown class word in `cfg.classes`.
    """
    plans = releases(cfg)
    scratch = scratch_dir("synthesize", *map(asdict, plans))
    clear_scratch("synthesize", keep=scratch)
    disk.ask("synthesize", sum(map(size, plans)) - disk.used(scratch.rglob("*")), scratch, *folders)
    cost.begin("synthesize", *map(asdict, plans), scratch=scratch)
    for left_over in scratch.glob("*/*/.*.tmp"):
        shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
    items = [(plan.subject_name(index), (plan, index, scratch / plan.name))
             for plan in plans for index in range(plan.subjects)]
    clips = sum(len(list(plan.clips(index))) for _, (plan, index, _) in items)
    done = len(list(scratch.glob("*/frames/*")))
    if done:
        print(f"synthesize: reusing {done} of {clips} clips from an interrupted run", file=sys.stderr)
    rows = parallel.run_items(render_subject, items, desc="synthesize", unit="subject", workers=on.workers, on=on)
    for plan in plans:
        own = [row for (_, (release, _, _)), part in zip(items, rows, strict=True) if release is plan for row in part]
        store.write_csv(scratch / plan.name / "clips.csv", HEADER, own)
        store.write_json(scratch / plan.name / "truth/summary.json",
                         {"made_with": environment.made_with("synthesize")})
    for plan, folder in zip(plans, folders, strict=True):
        if folder.exists():
            shutil.rmtree(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(scratch / plan.name, folder)
    clear_scratch("synthesize")

"""The networks of a finished run applied to a clip of one's own, by the code that labels and tests the run's clips."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from mer import params
from mer.base import terminal
from mer.base.errors import MerError
from mer.datasets.clips import Clip, raw_root, read_clips
from mer.datasets.releases import is_synthetic
from mer.evaluation.outputs import sampled
from mer.evaluation.protocols import protocol
from mer.labels import align, faces, flow, records, sampling, tracks
from mer.runs import finished, kept
from mer.runs.footage import DATASET, Footage
from mer.runs.networks import load
from mer.training import engine, folds, task
from mer.training.batches import Entry

NOT_CALIBRATED = ("These are scores of a softmax, NOT calibrated probabilities: 0.9 does not mean right nine times in "
                  "ten.")
NOT_TO_MEASURE = ("A fold's network has seen every subject of its data but those held out: on a subject that it was "
                  "trained on, its scores measure nothing.")
LEAST = 0.5  # of a clip's frames must show a face, else its page and the first line printed warn
LONGEST = 0.5  # seconds; by definition a micro-expression is over by then


@dataclass(frozen=True)
class Judged:
    """What the networks say of a clip.

    Attributes:
        p: (N, m) float64, the scores of `networks`; shown: the network whose scores lie nearest to the mean.
        frames: (t, C, C) uint8, what is sampled, centre crops; points: (t, 68, 2) dlib's, in their pixels.
        kept: what the task keeps of the clip for pictures, by `shown`.
        film: (T, C, C) uint8, the centre crops of all frames from onset to offset.
        notes: what was assumed, and what should make one doubt.
        warning: what makes the scores doubtful, else empty.
    """

    run: finished.Run
    clip: Clip
    networks: tuple[finished.Network, ...]
    p: np.ndarray
    shown: finished.Network
    frames: np.ndarray
    points: np.ndarray
    kept: dict[str, np.ndarray]
    film: np.ndarray
    notes: list[str]
    warning: str


def store_clip(p, film: Footage, clip: Clip, data: Path, warn: Callable[[str], None],
               keep: Path | None = None) -> tuple[dict, dict]:
    """Label the clip as the stages landmarks, align and flow do, into stores below `data`; (landmarks, aligned).

    `warn` is called as soon as the landmarks show that the scores may not be of the face that is meant; `keep`: folder
    for what the detector found, see `kept`.

    Raises:
        MerError: no face in any frame, points that jump throughout, or a damaged frame.
    """
    cv2.setNumThreads(1)  # as in the stages
    predictor = faces.predictor_path(p.landmarks.model_path)
    count = sum(clip.first <= number <= clip.last for number in film.numbers)
    try:
        with kept.keeping(faces.dlib_models(str(predictor)), predictor, keep) as (detect, predict):
            marks = faces.label_frames(
                lambda: terminal.progress(film.read(clip), total=count, desc="landmarks", unit="frame"), detect,
                predict, upsample_retry=p.landmarks.upsample_retry, whole_every=p.landmarks.whole_every)
        if words := doubts(marks):
            warn(words)
        aligned = align.align_frames(terminal.progress(film.read(clip), total=count, desc="align", unit="frame"), marks,
                                     **asdict(p.align))
        aligned["annotation"] = np.array([clip.onset, -1 if clip.apex is None else clip.apex, clip.offset], np.int32)
        made = {"aligned": aligned}
        if "flow" in params.of_model(p, "labels"):
            made["flow"] = flow.label_clip(clip.clip_id, aligned, **asdict(p.sampling), **asdict(p.flow))
    except records.Excluded as reason:
        raise MerError(f"{film.path}: {reason}") from None
    made |= task.task(p).placeholders(count)
    for stage, record in made.items():
        records.write(data / stage / DATASET, stage, [clip], {clip.clip_id: record}, attrs={}, summary={},
                      before={"excluded": [], "index": {}})
    return marks, aligned


def judge(run: finished.Run, networks: tuple[finished.Network, ...], film: Footage, clip: Clip,
          warn: Callable[[str], None] = lambda words: None, keep: Path | None = None) -> Judged:
    """Apply networks of a finished run to a clip; `warn` is told of few faces and the like before they run, what an
    interrupt would lose lies in the folder `keep`.

    Raises:
        MerError: the run has no classes, or the clip cannot be labelled.
    """
    # one sampling set, that of the tests, and all of its pairs
    p = replace(run.params, sampling=replace(run.params.sampling, sets=1),
                flow=replace(run.params.flow, pairs=0))
    device = engine.pick_device("auto")
    engine.configure(p.train.threads, p.train.precision)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        marks, aligned = store_clip(p, film, clip, data, warn, keep)
        plan = folds.Plan(p, data, (Entry(clip, 0),), run.classes, None, data / "scratch", device)
        method = plan.task
        if not method.classifies:
            raise MerError(f"{run.folder}: the run was trained without the task `mer` and names no classes")
        clips, rows = method.load(data, plan.entries, device), torch.tensor([0])
        bar = terminal.progress(networks, total=len(networks), desc="networks", unit="network")
        values = [folds.probabilities(plan, load(run, network).to(device), clips, rows)[0] for network in bar]
        scores = torch.stack(values).double().numpy()
        nearest = int(np.square(scores - scores.mean(0)).sum(1).argmin())
        shown = networks[nearest]
        model = load(run, shown).to(device)
        _, batch, outputs = next(engine.predict(model, method, clips, rows, crop=p.train.crop))
        kept = {name: array[0].cpu().numpy() for name, array in method.keep(model, outputs, batch).items()}
        row = folds.predictions_of(clips, rows, values[nearest][None], shown.fold, shown.seed, "last")
        sampling = {"t": p.sampling.t, "span": p.sampling.span, "seed": p.sampling.seed}
        frames, points = sampled(row, data, p.train.crop, sampling)
    inset = (p.align.size - p.train.crop) // 2
    inside = slice(inset, inset + p.train.crop)
    return Judged(run, clip, networks, scores, shown, frames, points, kept, aligned["frames"][:, inside, inside],
                  remarks(run, networks, film, clip, marks), doubts(marks))


def doubts(marks: dict) -> str:
    """What makes the scores doubtful, in one line, else nothing: few frames with a face, points that jump, several
    people."""
    found, count = int((marks["how"] != faces.NEIGHBOUR).sum()), len(marks["how"])
    jumped, told = int(tracks.jumps(marks["points"], marks["how"]).sum()), []
    if found < LEAST * count:
        told.append(f"A face was found in {found} of {count} frames only: the scores mean little")
    if jumped:
        told.append(f"The points jump by more than half an inter-ocular distance {jumped} times: is it one face?")
    if (faint := marks["others"][:, 5] >= faces.SURE).any():
        told.append(f"Another face is seen ({other_faces(marks['others'][faint])}): the scores are of one of them, "
                    f"{place(marks['boxes'][0])} in the first frame")
    return ". ".join(told)


def place(box: np.ndarray) -> str:
    """A box (4,) in words."""
    left, top, right, bottom = map(round, box.tolist())
    return f"{right - left + 1} px wide around ({(left + right) // 2}, {(top + bottom) // 2})"


def other_faces(others: np.ndarray) -> str:
    """The most certain of other faces (n, 6), in words."""
    number, *box, score = others[others[:, 5].argmax()]
    return f"in frame {number:.0f}, {place(np.array(box))}, detector's score {score:.2f}"


def remarks(run: finished.Run, networks, film: Footage, clip: Clip, marks: dict) -> list[str]:
    """What was assumed about the clip, and what should make one doubt."""
    p, told = run.params, []
    numbers = marks["numbers"]
    annotation = np.array([clip.onset, -1 if clip.apex is None else clip.apex, clip.offset])
    index = sampling.clip_sets(numbers, annotation, t=p.sampling.t, sets=1, span=p.sampling.span,
                               seed_words=(p.sampling.seed, clip.clip_id))[0]
    whole = clip.onset == film.numbers[0] and clip.offset == film.numbers[-1] and not film.wrong
    told.append(f"Frames {clip.onset} to {clip.offset}, " + ("the whole clip" if whole else
                f"of {film.numbers[0]} to {film.numbers[-1]}") + f"; sampled: {', '.join(map(str, numbers[index]))}.")
    if film.wrong:
        told.append(f"The film is not whole: {film.wrong}")
    if whole:
        told.append("Assumed: the expression begins with the first frame and ends with the last (else: --onset, "
                    "--offset).")
    used = p.sampling.t == 2 or p.sampling.span == "onset_apex"
    if clip.apex is None and used:
        told.append(f"Assumed: the apex is frame {sampling.apex_or_middle(annotation)}, midway, as the pipeline does "
                    "for clips without one (--apex).")
    elif not used:
        told.append("This run samples without regard to the apex.")
    if len(set(index.tolist())) < len(index):
        told.append(f"There are fewer frames than the {p.sampling.t} that are sampled, so some are seen twice.")
    if film.fps:
        seconds = (clip.offset - clip.onset + 1) / film.fps
        told.append(f"{seconds:.2f} s at {film.fps:g} frames per second.")
        if seconds > LONGEST:
            told.append(f"A micro-expression lasts at most {LONGEST} s: find its onset, apex and offset, and name "
                        "them.")
    lost, several = int((marks["how"] == faces.NEIGHBOUR).sum()), len(set(marks["others"][:, 0].tolist()))
    if lost:
        told.append(f"No face was found in {lost} of {len(numbers)} frames; they took the nearest frame's box.")
    if several:
        told.append(f"{several} of the frames that were searched as a whole hold other faces, the most certain "
                    f"{other_faces(marks['others'])}; one face is followed.")
    if (known := trained_clip(run, film)) is not None:
        seen = sum(known.subject not in network.held_out for network in networks)
        told.append(f"This is clip {known.clip_id} of {known.subject}, of the run's own data: {seen} of the "
                    f"{len(networks)} networks were trained on this subject" +
                    (", and their scores measure nothing." if seen else "."))
    return told


def trained_clip(run: finished.Run, film: Footage) -> Clip | None:
    """The clip of the run's own data that a folder of frames is, if it is one."""
    if run.data is None:
        return None
    for dataset in run.params.datasets:
        root, table = raw_root(dataset, run.data / "raw"), run.data / "aligned" / dataset / "clips.csv"
        for clip in read_clips(table) if table.is_file() else ():
            if (root / clip.frames_dir).resolve() == film.path.resolve():
                return clip
    return None


def trained_on(run: finished.Run) -> str:
    """On which data, and under which protocol, the networks were trained."""
    about = run.about
    before = f", pretrained on {' + '.join(about['pretrained_on'])}" if about["pretrained_on"] else ""
    marked = ". SYNTHETIC faces: says nothing about real ones" if is_synthetic(about["datasets"]) else ""
    marked += ". CONTROL: the training labels were shuffled" if about.get("shuffle_labels") else ""
    return (f"{about['model'].upper()} trained on {' + '.join(about['datasets'])}{before}; {len(run.classes)} classes, "
            f"{about['clips']} clips of {len(about['subjects'])} subjects; {protocol(about['protocol'])}; after the "
            f"last step; profile {about['profile']}{marked}.")


def rows(judged: Judged) -> list[tuple]:
    """Per class, the highest mean first: name, mean, sd, lowest, highest score, and how many networks prefer it."""
    p, best = judged.p, judged.p.argmax(axis=1)
    return [(judged.run.classes[j], p[:, j].mean(), p[:, j].std(), p[:, j].min(), p[:, j].max(), int((best == j).sum()))
            for j in np.argsort(-p.mean(axis=0), kind="stable")]

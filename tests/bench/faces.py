"""Time to find the face where it was in the frame before, beside searching whole frames, and how far points differ.

    python tests/bench/faces.py                   # 640 x 480 and 1280 x 720; process time, one thread, some minutes
    python tests/bench/faces.py --clips 2         # fewer
    python tests/bench/faces.py --predict 300     # frames per second of what `mer predict` does to a film, 1280 x 720

The embedded faces are rendered at both sizes with their noise and head motion; every second clip is blurred too. Both
ways label every clip, one after the other within a clip, so that a busy machine disturbs both. Ratios: of all clips
together.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench import rows  # noqa: E402

from mer import params  # noqa: E402
from mer.datasets.synthetic.plan import releases  # noqa: E402
from mer.datasets.synthetic.release import clip_script  # noqa: E402
from mer.datasets.synthetic.render import Subject  # noqa: E402
from mer.labels import align, faces  # noqa: E402
from mer.runs import footage  # noqa: E402

SIZES = ((640, 480), (1280, 720))
BLUR = 1.5  # pixels


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=8, help="of other people each")
    parser.add_argument("--frames", type=int, default=100, help="of a clip")
    parser.add_argument("--noise", type=float, default=1.0, help="factor on that of the embedded release")
    parser.add_argument("--motion", type=float, default=1.0, help="factor on the head's")
    parser.add_argument("--predict", type=int, default=0, metavar="FRAMES", help="only this, with a film of so many")
    return rows.parse(parser, quick={"clips": 1, "frames": 10})


def clip_of(p: params.Params, size: tuple[int, int], index: int, args: argparse.Namespace) -> list[np.ndarray]:
    """BGR frames of a subject's clip."""
    release = releases(p.synthetic)[0]
    release = replace(release, width=size[0], height=size[1], frames=args.predict or args.frames,
                      noise=args.noise * release.noise, head_motion=args.motion * release.head_motion)
    subject = Subject(release, index)
    script = clip_script(subject, "surprise", 0)
    frames = [subject.frame(script, number) for number in range(release.frames)]
    return [cv2.GaussianBlur(frame, (0, 0), BLUR) for frame in frames] if index % 2 else frames


class Timed:
    """A function and the process time that its calls took."""

    def __init__(self, call):
        self.call, self.seconds = call, 0.0

    def __call__(self, *args):
        begun = time.process_time()
        try:
            return self.call(*args)
        finally:
            self.seconds += time.process_time() - begun


def compare(p: params.Params, size: tuple[int, int], args: argparse.Namespace) -> list[dict]:
    """The rows of a size."""
    detect, predict = faces.dlib_models(str(faces.predictor_path(p.landmarks.model_path)))
    found, whole, square, same = [], [], [], []
    for index in range(args.clips):
        frames = [(k, cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)) for k, frame in enumerate(clip_of(p, size, index, args))]
        records = []
        for every, times in ((1, whole), (p.landmarks.whole_every, found)):
            points = Timed(predict)
            begun = time.process_time()
            records.append(faces.label_frames(lambda frames=frames: iter(frames), detect, points, whole_every=every))
            total = time.process_time() - begun
            times.append((total - points.seconds, total))
        there, here = records
        square.append(np.square(there["points"] - here["points"]).sum(-1))
        same.append((there["boxes"] == here["boxes"]).all(-1))
    (a, a_all), (b, b_all) = (np.array(times).T / args.frames * 1e3 for times in (whole, found))
    print(f"{size[0]} x {size[1]}, face of {np.diff(there['boxes'][0, ::2])[0]} px: whole frames {a.mean():.2f} ms, "
          f"where it was {b.mean():.2f} ms a frame: {a.sum() / b.sum():.1f} times; with the points {a_all.mean():.2f} "
          f"and {b_all.mean():.2f} ms: {a_all.sum() / b_all.sum():.1f} times")
    distance = np.concatenate(square)
    print(f"  points: {np.sqrt(distance.mean()):.3f} px rms apart ({np.sqrt(distance.mean() / 2):.3f} a coordinate); "
          f"the same box in {np.concatenate(same).mean():.1%} of {len(distance)} frames; clip by clip "
          f"{', '.join(f'{np.sqrt(s.mean()):.2f}' for s in square)}")
    words = f"faces, {size[0]} x {size[1]}"
    return [rows.row(f"{words}, detection a frame", b.mean(), "ms", other=a.mean(), against="whole frames",
                     ratio=a.sum() / b.sum(), goal="ratio >= 8"),
            rows.row(f"{words}, points apart, rms", float(np.sqrt(distance.mean())), "px", goal="ours <= 0.5")]


def film(p: params.Params, args: argparse.Namespace) -> None:
    """Footage, landmarks and alignment of a film, as `mer predict` does them; both ways, wall and process time."""
    size = SIZES[1]
    detect, predict = faces.dlib_models(str(faces.predictor_path(p.landmarks.model_path)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 30, size)
        for frame in clip_of(p, size, 0, args):
            video.write(frame)
        video.release()
        for every in (1, p.landmarks.whole_every):
            begun, used = time.perf_counter(), time.process_time()
            opened = footage.footage(path)
            clip = footage.annotate(opened, None, None, None)
            counted = time.process_time() - used
            marks = faces.label_frames(lambda opened=opened, clip=clip: opened.read(clip), detect, predict,
                                       whole_every=every)
            align.align_frames(opened.read(clip), marks, size=144)
            used = time.process_time() - used
            count = len(marks["numbers"])
            print(f"whole frame every {every}: {count} frames, process time {count / used:.0f} frames a second "
                  f"({counted / used:.0%} of it counting them), wall {count / (time.perf_counter() - begun):.0f}")


def main() -> None:
    args = arguments()
    cv2.setNumThreads(1)
    p = params.load(ROOT / "params.yaml")
    if args.predict:
        film(p, args)
        return
    rows.emit(args, *(row for size in SIZES for row in compare(p, size, args)))


if __name__ == "__main__":
    main()

"""CPU seconds to index a release, and to find the frames of its clips as a stage does that reads them.

    python tests/bench/indexing.py
    python tests/bench/indexing.py --releases casme2

CASME II: 255 clips and 17,138 frame files on this disk. Aff-Wild2: 546 annotated videos and 2.8 million frames;
annotation, folders and the first frame of each clip are written, the listing of a video's folder is made up
(`os.listdir` is replaced), so that what the disk needs for 2.8 million entries is not in the number. A frame file holds
its own name, since no two people's may be alike. Nothing is extrapolated.
"""

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

from bench import rows  # noqa: E402
from raw_releases import books, macro, micro  # noqa: E402

from mer.datasets.clips import frame_files  # noqa: E402
from mer.datasets.index import build_index  # noqa: E402

CASME2 = 255, 17138  # clips, frames
AFFWILD2 = 546, 2_800_000, 49  # videos, frames, frames of one label in a row
LIMITS = {"casme2": 1.0, "affwild2": 60.0}  # CPU seconds


def casme2(root: Path) -> int:
    """A table and its frame files; how many."""
    clips, frames = CASME2
    rows, total = [], 0
    for i in range(clips):
        length = frames // clips + (i < frames % clips)
        subject, name = i % 26 + 1, f"EP{i:03d}"
        rows.append([subject, name, 1, 2 + length // 2, length, "4", "others"])
        folder = root / f"CASME2-RAW/sub{subject:02d}/{name}"
        folder.mkdir(parents=True)
        for number in range(1, length + 1):
            (folder / f"img{number}.jpg").write_text(f"{name} {number}")
        total += length
    header = [cell for cell in micro.CASME2_HEADER if cell]
    books.write_book(root / "CASME2-coding-20190701.xlsx", {"Sheet1": [header, *rows]})
    return total


def affwild2(root: Path) -> int:
    """The annotation and a folder a video without its frames; how many there would be."""
    videos, frames, run = AFFWILD2
    length = frames // videos
    text = "\n".join([macro.SEVEN, *(str(number // run % 7) for number in range(length))])
    for i in range(videos):
        path = root / f"annotations/EXPR_Set/Train_Set/video{i:03d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        folder = root / f"cropped_aligned/video{i:03d}"
        folder.mkdir(parents=True)
        for number in range(1, length + 1, run):
            (folder / f"{number:05d}.jpg").write_text(f"{folder.name} {number}")
        os.utime(folder, (1, 1))
    return videos * length


WRITERS = {"casme2": casme2, "affwild2": affwild2}


def listing(folder: str, real=os.listdir) -> list[str]:
    """What a video's folder would hold."""
    if Path(folder).parent.name != "cropped_aligned":
        return real(folder)
    return [f"{number:05d}.jpg" for number in range(1, AFFWILD2[1] // AFFWILD2[0] + 1)]


def measure(name: str, root: Path, frames: int) -> float:
    """Print a release's numbers; CPU seconds of its index."""
    listed: list[str] = []
    before = os.listdir
    os.listdir = lambda folder=".": listed.append(str(folder)) or (listing if name == "affwild2" else before)(folder)
    try:
        start = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            clips, _ = build_index(name, root, accept_counts=True)
        index, listed_by_index = time.process_time() - start, len(listed)
        listed.clear()
        start = time.process_time()
        read = sum(len(frame_files(root, clip)) for clip in clips)
        finding = time.process_time() - start
    finally:
        os.listdir = before
    folders = len({clip.frames_dir for clip in clips})
    print(f"{name}: {len(clips)} clips, {frames} frames in {folders} folders: index {index:.2f} CPU s (limit "
          f"{LIMITS[name]:g} s), {listed_by_index} listings; then finding {read} frames clip by clip {finding:.2f} "
          f"CPU s, {len(listed)} listings")
    return index


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--releases", nargs="+", choices=WRITERS, default=list(WRITERS))
    args = rows.parse(parser, quick={"releases": ["casme2"]})
    taken = {}
    for name in args.releases:
        with tempfile.TemporaryDirectory() as folder:
            frames = WRITERS[name](Path(folder))
            time.sleep(2.5)  # a folder that changed just now is listed again for each clip
            taken[name] = measure(name, Path(folder), frames)
    rows.emit(args, *(rows.row(f"index of {name}", seconds, "CPU s", goal=f"ours <= {LIMITS[name]:g}")
                      for name, seconds in taken.items()))
    sys.exit(any(seconds > LIMITS[name] for name, seconds in taken.items()))


if __name__ == "__main__":
    main()

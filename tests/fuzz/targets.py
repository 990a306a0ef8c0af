"""What is fuzzed beside the readers of releases: how input is made, and what must hold of what is done with it.

A target takes a folder and a value that hypothesis drew, and answers 'read' or 'refused'; anything else is a failure.
Damage to bytes is drawn as a seed, so that one number tells it; values of YAML and of tables are drawn as they are.
"""

import contextlib
import copy
import csv
import functools
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import cv2
import numpy as np
import torch
import yaml
from hypothesis import strategies as st
from labels.label_tools import texture
from raw_releases.books import write_book
from raw_releases.plain import HEADER, row, write_frames

from mer import params
from mer.base import knobs, store
from mer.base.errors import MerError
from mer.datasets import lists
from mer.datasets.class_sets import own_labels
from mer.datasets.clips import read_clips, write_clips
from mer.datasets.index import build_index
from mer.datasets.readers import plain
from mer.datasets.workbook import by_header, read_sheets
from mer.labels import images
from mer.labels.records import Excluded
from mer.runs import footage
from mer.training import checkpoint

ROOT = Path(__file__).parents[2]
LONGEST = 1600  # characters of a message: the longest line and what is cut out of it

ODD = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
                st.sampled_from([10**30, 2**31, -1, "9" * 400, "n" * 300, "..", "a/b", "微表情", "1e5", "nan",
                                 "0x" + "f" * 9999, "x" * 100_000, "\N{SUPERSCRIPT TWO}", "two\nlines", "\x00",
                                 "\ud800"]))
VALUES = st.recursive(ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.one_of(st.text(max_size=8), st.integers(), st.sampled_from(["sets", "classes", "expected", "counts", "plain"])),
    inner, max_size=3), max_leaves=8)
SEEDS = st.integers(0, 2**32)


@dataclass(frozen=True)
class Target:
    """`try_(folder, value)` of a value of `strategy`; `found`: values that once failed."""

    strategy: st.SearchStrategy
    try_: Callable[[Path, object], str]
    found: tuple = ()


def outcome(read: Callable[[], object]) -> str:
    """'read', or 'refused' in lines that can be printed."""
    try:
        read()
    except Excluded:  # its words go into a table
        return "refused"
    except MerError as error:
        message = str(error)
    else:
        return "read"
    assert len(message) <= LONGEST and len(message.splitlines()) == 1, message
    return "refused"


def damaged(data: bytes, seed: int) -> bytes:
    """Cut, overwritten in a place or two, filled with zeros, doubled, or a bit turned."""
    chance, out = Random(seed), bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at, count = chance.randrange(len(out) + 1), chance.choice([1, 4, 40, 400])
        what = chance.choice(["cut", "random", "random", "zeros", "doubled", "removed", "bit", "bit"])
        if what == "cut":
            del out[at:]
        elif what == "random":
            out[at:at + count] = bytes(chance.randrange(256) for _ in range(min(count, len(out) - at)))
        elif what == "zeros":
            out[at:at + count] = bytes(min(count, len(out) - at))
        elif what == "doubled":
            out[at:at] = out[at:at + count]
        elif what == "removed":
            del out[at:at + count]
        elif out:
            out[at % len(out)] ^= 1 << chance.randrange(8)
    return bytes(out)


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def as_yaml(value: object) -> bytes:
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False).encode(errors="surrogatepass")


SHIPPED = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
LEAVES = sorted(knobs.flatten(SHIPPED))


def try_params(folder: Path, drawn: tuple[str, object]) -> str:
    """One value of params.yaml, or a whole section where the name is cut, is another one."""
    name, value = drawn
    tree = copy.deepcopy(SHIPPED)
    *parents, last = name.split(".")
    section = functools.reduce(lambda inside, key: inside[key], parents, tree)
    section[last] = value
    return outcome(lambda: params.load(written(folder / "params.yaml", as_yaml(tree))))


def try_params_bytes(folder: Path, seed: int) -> str:
    data = damaged((ROOT / "params.yaml").read_bytes(), seed)
    return outcome(lambda: params.load(written(folder / "params.yaml", data)))


def try_params_text(folder: Path, text: str) -> str:
    return outcome(lambda: params.load(written(folder / "params.yaml", text.encode(errors="surrogatepass"))))


def try_classes(folder: Path, value: object) -> str:
    """A file of this value, and one in whose set it stands under each key."""
    told = outcome(lambda: own_labels("mine", written(folder / "classes.yaml", as_yaml(value)).parent, {"joy"}))
    for key in ("classes", "expected", "exclude", "column", "source", "note"):
        body = {"sets": {"two": {"classes": ["joy", "fear"], key: value}}}
        outcome(lambda body=body: own_labels("mine", written(folder / "classes.yaml", as_yaml(body)).parent, {"joy"}))
    return told


def try_clips(folder: Path, drawn: list[tuple[int, int, object]]) -> str:
    """A dataset of one's own in whose table some cells are others; what is read can be written and read again."""
    if not (folder / "video").exists():
        for name in ("c1", "c2", "c3"):
            write_frames(folder / "video" / name, range(8, 13))
    rows = [HEADER, row(), row("c2", "p2", label="fear"), row("c3", "p3", apex="")]
    for line, column, value in drawn:
        rows[line % len(rows)][column % len(HEADER)] = value
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    written(folder / "clips.csv", text.getvalue().encode(errors="surrogatepass"))

    def read() -> None:
        clips = build_index("mine", folder)[0]
        write_clips(folder / "again.csv", clips)
        assert read_clips(folder / "again.csv") == clips
        assert all(clip.first <= clip.last for clip in plain.read(folder, dataset="mine").clips)

    with contextlib.redirect_stdout(io.StringIO()):
        return outcome(read)


def bytes_of(make: Callable[[Path], object], name: str, read: Callable[[Path], object]) -> Callable[[Path, int], str]:
    """A target of a file that `make` writes once, damaged by a seed and `read`."""
    def try_(folder: Path, seed: int) -> str:
        whole = folder / "whole" / name
        if not whole.exists():
            whole.parent.mkdir(parents=True, exist_ok=True)
            make(whole)
        return outcome(lambda: read(written(folder / name, damaged(whole.read_bytes(), seed))))
    return try_


def picture(path: Path) -> None:
    cv2.imwrite(str(path), texture((80, 90)).astype(np.uint8))


def read_picture(path: Path) -> None:
    image = images.read_gray(path)
    assert image.ndim == 2 and image.dtype == np.uint8 and image.size <= images.PIXELS


def film(code: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        wide = cv2.merge([texture((64, 80)).astype(np.uint8)] * 3)
        video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 25, (64, 64))
        for number in range(8):
            video.write(np.ascontiguousarray(wide[:, number:number + 64]))
        video.release()
    return make


def read_film(path: Path) -> None:
    opened = footage.footage(path)
    clip = footage.annotate(opened, None, None, None)
    assert len(list(opened.read(clip))) == len(opened.numbers) == 8, "a part taken for the whole"


def tables(path: Path) -> None:
    write_book(path, {"codes": [["Subject", "Onset", "Label"], *([f"{n:03d}", n, "joy"] for n in range(20))]})


def read_table(path: Path) -> None:
    by_header(next(iter(read_sheets(path).values())), ("Subject", "Onset"), path)


def network(path: Path) -> None:
    checkpoint.save(path, {"model": {"a": torch.arange(300.0)}, "classes": ["joy", "fear"], "step": 3})


def weights(path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.arange(300.0)}, path)


def read_network(path: Path) -> None:
    assert torch.equal(checkpoint.load(path)["model"]["a"], torch.arange(300.0)), "damaged and used"


def shard(path: Path) -> None:
    store.write_shard(path, {"c1": {"points": np.arange(2000.0)}}, {"unit": "pixels"})


def read_shard(path: Path) -> None:
    assert np.array_equal(store.read_shard(path)[0]["c1"]["points"], np.arange(2000.0)), "damaged and used"


def listed(path: Path) -> None:
    path.write_text("dataset,subject,clip,label,onset\n" + "".join(f"smic,s{n},c{n},joy,{n}\n" for n in range(20)))


KEYS = st.sampled_from(LEAVES).flatmap(lambda name: st.sampled_from(
    [".".join(name.split(".")[:n]) for n in range(1, name.count(".") + 2)]))
TARGETS = {
    "params": Target(st.tuples(KEYS, VALUES), try_params, (("lr", 10**400), ("model", ["mol"]), ("profile", {}),
                                                           ("train", None), ("model", "x" * 100_000))),
    "params bytes": Target(SEEDS, try_params_bytes),
    "params text": Target(st.text(max_size=60), try_params_text, (
        "[" * 1000, "{a: " * 1000, "a: \udc80", "? [a, b]\n: c", "a: &a [*a]", "x" * 100_000, "- " * 1000 + "a",
        "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(9)),
        "model: 0x" + "f" * 9999)),
    "classes": Target(VALUES, try_classes, ([3, 3], None, {"plain": ["c1"]}, {"plain": [3, 3]}, {"plain": {"counts": [
        "three", 3]}}, {"plain": {"firm": 3}}, {"a": "joy"}, [[1], [2]])),
    "clips": Target(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8), ODD), max_size=3), try_clips, (
        [(1, 3, "9" * 30)], [(1, 3, 2**31), (1, 5, 2**31 + 1)], [(1, 0, "n" * 300)], [(1, 1, "n" * 300)],
        [(1, 2, "n" * 300)], [(1, 6, "1e999")], [(1, 7, "x" * 100_000)])),
    "jpg": Target(SEEDS, bytes_of(picture, "img1.jpg", read_picture)),
    "png": Target(SEEDS, bytes_of(picture, "img1.png", read_picture)),
    "bmp": Target(SEEDS, bytes_of(picture, "img1.bmp", read_picture)),
    "film of JPEGs": Target(SEEDS, bytes_of(film("MJPG"), "x.avi", read_film), (2_979_868_140,)),
    "film of FFV1": Target(SEEDS, bytes_of(film("FFV1"), "x.mkv", read_film)),
    "film of MPEG-4": Target(SEEDS, bytes_of(film("mp4v"), "x.mp4", read_film)),
    "xlsx": Target(SEEDS, bytes_of(tables, "t.xlsx", read_table)),
    "xls": Target(SEEDS, bytes_of(tables, "t.xls", read_table)),
    "list": Target(SEEDS, bytes_of(listed, "list.csv", lists.read), (824, 7439)),
    "checkpoint": Target(SEEDS, bytes_of(network, "model.pt", read_network), (12412405,)),
    "safetensors": Target(SEEDS, bytes_of(weights, "model.safetensors", checkpoint.read_safetensors)),
    "shard": Target(SEEDS, bytes_of(shard, "s01.h5", read_shard), (141, 387, 47650)),
}

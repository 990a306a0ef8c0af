"""How many bytes a label stage is going to write: those of its arrays, and what HDF5 adds to each clip."""

from pathlib import Path

from mer.base import store

CLIP = 6_000  # bytes, of a clip's tables in its shard
POINTS = 68 * 2 * 4  # of a frame's landmarks, float32
HALF = 2  # bytes of a float16


def landmarks(clips: int, frames: int) -> int:
    """Points, boxes, scores and numbers of all frames."""
    return clips * CLIP + frames * (POINTS + 4 * 4 + 4 + 4 + 2)


def aligned(clips: int, frames: int, side: int) -> int:
    """Crops of `side` x `side` pixels, points and numbers of all frames."""
    return clips * CLIP + frames * (side**2 + POINTS + 4)


def flow(clips: int, side: int, *, t: int, sets: int, pairs: int) -> int:
    """The labelled pairs of all sampling sets; pairs: of each, 0 = all."""
    return clips * (CLIP + sets * min(pairs or t - 1, t - 1) * 2 * side**2 * HALF)


def dynamic(clips: int, side: int, *, sets: int) -> int:
    """A picture a sampling set."""
    return clips * (CLIP + sets * side**2 * HALF)


def side(aligned: str | Path) -> int:
    """Pixels of a side of the crops in a store of aligned clips; 0 where nothing tells."""
    for path in Path(aligned).glob("*.h5"):
        with store.Shard(path) as shard:
            return shard.about.get("size", 0)
    return 0

"""Which frames of a clip are seen: t indices per sampling set, and which consecutive pairs get a flow label.

Needs numpy alone, so that training draws frames by the same rule as the label stages. All randomness of a label stage
comes from (seed, clip id), so a clip gets the same frames whatever runs beside it.
"""

import hashlib

import numpy as np

GRAIN = 2**20  # offsets are whole multiples of 1 / GRAIN of the spacing, so that every machine rounds them alike
MIDPOINT = GRAIN // 2


def generator(*words: int | str) -> np.random.Generator:
    """A random generator that depends on the words alone, the same on every machine (`hash` is salted per process)."""
    digest = hashlib.sha256("\0".join(map(str, words)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, "<u4").tolist())


def spaced(n_frames: np.ndarray | int, t: int, offset: np.ndarray) -> np.ndarray:
    """t positions at a constant spacing in a span of L = `n_frames` frames: (offset / GRAIN + k) L / t, rounded down.

    Args:
        n_frames: one L, or (B,); offset: (B,) whole numbers in [0, GRAIN); MIDPOINT: the midpoints of t equal segments.

    Returns:
        (B, t) int64, non-decreasing along t and, for L >= t, strictly increasing. With L < t frames are repeated.
    """
    points = np.arange(t) * GRAIN + np.asarray(offset, np.int64)[:, None]
    return points * np.asarray(n_frames, np.int64)[..., None] // (t * GRAIN)


def index_sets(n_frames: int, t: int, n_sets: int, seed_words: tuple) -> np.ndarray:
    """Sampling sets of a span of `n_frames` frames, each `spaced` with one offset.

    Set 0, the one used in tests, holds the midpoints of t equal segments; each other set has a random offset of its own
    (papers: uniform, "random offset").

    Returns:
        (n_sets, t) int32.
    """
    if n_frames < 1 or t < 1 or n_sets < 1:
        raise ValueError(f"index_sets: n_frames = {n_frames}, t = {t}, n_sets = {n_sets}; expected 1 or more of each")
    offsets = np.append(MIDPOINT, generator("index", *seed_words).integers(0, GRAIN, n_sets - 1))
    return spaced(n_frames, t, offsets).astype(np.int32)


def labelled_pairs(t: int, sets: int, pairs: int, seed_words: tuple) -> np.ndarray:
    """(P, 2) int32 rows (set, k): the flow from frame k to k + 1 of that set is labelled. pairs: of each set, 0 = all.

    # paper: all t - 1 pairs; released code: all t - 1 pairs; here: with 0 < `pairs` < t - 1 a random subset of each
    # set, because TV-L1 is the dearest label and two cores must finish the demo (profile `paper` labels all).
    """
    rng = generator("pairs", *seed_words)
    count = min(pairs or t - 1, t - 1)
    rows = [(s, k) for s in range(sets) for k in sorted(rng.permutation(t - 1)[:count])]
    return np.array(rows, np.int32).reshape(-1, 2)


def span_positions(numbers: np.ndarray, annotation: np.ndarray, span: str) -> np.ndarray:
    """Positions, within a clip's frames, of the part that is sampled.

    Args:
        numbers: (T,) frame numbers of the clip's frames, increasing.
        annotation: frame numbers of onset, apex (-1: none) and offset.
        span: 'clip' (all frames), 'onset_offset' or 'onset_apex', both ends included.

    Returns:
        (L,) positions, empty if no frame lies in the span.
    """
    numbers = np.asarray(numbers)
    if span == "clip":
        return np.arange(len(numbers))
    last = {"onset_offset": int(annotation[2]), "onset_apex": apex_or_middle(annotation)}[span]
    return np.flatnonzero((numbers >= annotation[0]) & (numbers <= last))


def apex_or_middle(annotation: np.ndarray) -> int:
    """The apex frame's number; of a clip without one (SMIC has none) that of the frame midway from onset to offset."""
    onset, apex, offset = map(int, annotation)
    return (onset + offset) // 2 if apex < 0 else apex


def ends(numbers: np.ndarray, annotation: np.ndarray) -> np.ndarray:
    """(2,) positions, within a clip's frames, of those nearest to onset and apex; arguments as in `span_positions`."""
    numbers = np.asarray(numbers)
    return np.array([np.abs(numbers - end).argmin() for end in (int(annotation[0]), apex_or_middle(annotation))])


def clip_sets(numbers: np.ndarray, annotation: np.ndarray, *, t: int, sets: int, span: str,
              seed_words: tuple) -> np.ndarray:
    """The (sets, t) int32 positions to sample from a clip; arguments as in `span_positions` and `index_sets`.

    t = 2 means onset and apex frame (MOL, Table XIII) in every set, each the nearest frame that exists.

    Raises:
        ValueError: no frame lies in the span.
    """
    numbers = np.asarray(numbers)
    if t == 2:
        return np.tile(ends(numbers, annotation), (sets, 1)).astype(np.int32)
    positions = span_positions(numbers, annotation, span)
    if not len(positions):
        raise ValueError(f"no frame in the span {span} (onset, apex, offset = {', '.join(map(str, annotation))}; it "
                         f"has frames {numbers[0]} to {numbers[-1]})")
    return positions[index_sets(len(positions), t, sets, seed_words)].astype(np.int32)

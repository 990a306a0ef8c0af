"""Which action units make up the expression words of the releases, and with what probability."""

import numpy as np

from mer.base.errors import MerError

# (action units, probability, one-sided). The overlaps between words (4+7, 1, 4+15 ...) are wanted: they keep the best
# possible accuracy below 100 %.
Words = dict[str, tuple[tuple[tuple[int, ...], float, bool], ...]]
MICRO: Words = {
    "happiness": (((12,), 0.40, False), ((6, 12), 0.35, False), ((12,), 0.25, True)),
    "disgust": (((9,), 0.25, False), ((10,), 0.25, False), ((4, 9), 0.20, False), ((4, 7), 0.20, False),
                ((4, 10), 0.10, False)),
    "surprise": (((1, 2), 0.45, False), ((1, 2, 5), 0.30, False), ((2,), 0.15, False), ((1,), 0.10, False)),
    "repression": (((14,), 0.25, False), ((14,), 0.20, True), ((17,), 0.20, False), ((24,), 0.20, False),
                   ((15, 17), 0.15, False)),
    "sadness": (((1, 4), 0.35, False), ((15,), 0.30, False), ((1,), 0.15, False), ((4, 15), 0.20, False)),
}  # fmt: skip

# The seven words of Aff-Wild2 and DFEW. Anger and fear are ours (EMFACS prototypes); disgust without 4+7, which is
# anger's here; neutral moves no action unit, distractors included.
MACRO: Words = {
    "anger": (((4, 7), 0.35, False), ((4, 24), 0.30, False), ((4, 7, 17), 0.20, False), ((4, 7, 24), 0.15, False)),
    "disgust": (((9,), 0.30, False), ((10,), 0.30, False), ((4, 9), 0.25, False), ((4, 10), 0.15, False)),
    "fear": (((1, 2, 4), 0.35, False), ((1, 2, 4, 5), 0.35, False), ((1, 2, 4, 20), 0.30, False)),
    "happiness": MICRO["happiness"],
    "neutral": (((), 1.0, False),),
    "sadness": MICRO["sadness"],
    "surprise": MICRO["surprise"],
}  # fmt: skip

SETS = {"micro": MICRO, "macro": MACRO}
WORDS = tuple(sorted({*MICRO, *MACRO}))  # position = seed tag of the word


def draw_units(release: str, word: str, r: np.random.Generator) -> list[tuple[int, tuple[int, ...]]]:
    """Draw the action units of one clip: a list of (unit, sides), sides -1 = left, 1 = right in the picture.

    Raises:
        MerError: the release has no such expression word.
    """
    table = SETS[release].get(word)
    if table is None:
        raise MerError(f"synthetic.classes: {word!r} in the {release} release; expected of {', '.join(SETS[release])}")
    units, _, one_sided = table[r.choice(len(table), p=[p for _, p, _ in table])]
    side = int(r.choice((-1, 1)))
    return [(au, (side,) if one_sided else (-1, 1)) for au in units]


def units_text(units: list[tuple[int, tuple[int, ...]]]) -> str:
    """`6+12`, or with the side of the face, as FACS coders write: `L12` is the subject's left, right in the picture."""
    return "+".join(f"{'' if len(sides) == 2 else 'L' if sides[0] == 1 else 'R'}{au}" for au, sides in units)

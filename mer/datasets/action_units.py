r"""Action units in one notation, `4+7L+(12)`, read from any release's: the column `aus` of clips.csv beside `aus_raw`.

    +    and: each of these is there
    /    or, binding its two neighbours alone: 6R/12R+15R is 15R, and 6R or 12R; the coder could not tell which
    L R  behind the number: on that side of the face only
    ()   around one unit: weak

Read are also L or R before the number (R2), `or`, AU4, commas of any width, and parentheses around what an `or` joins
or around several weak units; 4DME's 12(k) is weak. Not kept, as `aus_raw` has them: the grade A to E behind a number,
and before it A (both sides, one of them more), U (one side, which is not told), T and B (upper and lower lip). What is
none of all this is passed over, and the clip is flagged `units_unread`.

>>> from mer.datasets.action_units import parse, units, unread, written
>>> [written(parse(text)) for text in ("4+7+L10", "(R6 or R12)+R15", "R14A or 17A or 24A", "A12, (4+7)", "6+12(k)")]
['4+7+10L', '6R/12R+15R', '14R/17/24', '12+(4)+(7)', '6+(12)']
>>> written(parse("ref(5)+20C")), unread("ref(5)+20C")
('(5)+20', ('REF',))
>>> sorted(units("6R/12R+15R")), sorted(units("6R/12R+15R", alternatives=True))
([15], [6, 12, 15])
"""

import re
import unicodedata
from dataclasses import dataclass, replace

NOTHING = ("", "/", "-")  # cells that say that no unit was seen
TOKEN = re.compile(r"""
    (?P<unit>(?P<before>[LRAUTB]?)\s*(?:AU\s*)?(?P<number>0?[1-9]|[1-9][0-9])(?![0-9])
             (?:[A-E]?(?P<after>[LR]?)(?![A-Z0-9]))?)
    | (?P<mark>\(K\)) | (?P<either>[/|]|OR(?![A-Z]))
    | (?P<both>[+,;&、]|AND(?![A-Z])) | (?P<open>\() | (?P<close>\)) | (?P<blank>\s+)
    | (?P<other>[A-Z]+|[0-9]+|.)""", re.VERBOSE | re.DOTALL)


@dataclass(frozen=True)
class Unit:
    """An action unit: `number` 1..99; `side` L, R, or '' where it is on both sides or none is told."""

    number: int
    side: str = ""
    weak: bool = False


Coded = tuple[tuple[Unit, ...], ...]  # what was seen, in the coder's order; several units in one place: one of them


def parse(text: str) -> Coded:
    """What a cell says, in any release's notation or that of this module; of any text."""
    return _scan(text)[0]


def unread(text: str) -> tuple[str, ...]:
    """The words of a cell that `parse` passed over."""
    return _scan(text)[1]


def written(coded: Coded) -> str:
    """The one notation: `parse` reads it back."""
    return "+".join("/".join(f"({unit.number}{unit.side})" if unit.weak else f"{unit.number}{unit.side}"
                             for unit in either) for either in coded)


def units(aus: str, *, alternatives: bool = False) -> frozenset[int]:
    """The numbers of the units that are there for certain, the weak ones too; with `alternatives` also the possible."""
    return frozenset(unit.number for either in parse(aus) for unit in either if alternatives or len(either) == 1)


def _scan(text: str) -> tuple[Coded, tuple[str, ...]]:
    text = unicodedata.normalize("NFKC", text).upper().strip()
    if text in NOTHING:
        return (), ()
    found: list[list[Unit]] = []
    passed: list[str] = []
    order: list[tuple[int, int]] = []  # of the units, their places in `found`
    groups: list[tuple[int, int, bool]] = []  # parentheses that are open: first unit, `or`s before, follows an `or`
    either, seen, several = "", 0, False  # the `or` that waits for its second unit; `or`s so far; after (4+7)
    for match in TOKEN.finditer(text):
        word = match[0]
        if match["unit"]:
            unit = Unit(int(match["number"]), match["after"] or (match["before"] if match["before"] in "LR" else ""))
            if not (either and found):
                found.append([])
            found[-1].append(unit)
            order.append((len(found) - 1, len(found[-1]) - 1))
            either, several = "", False
        elif match["mark"] and order and not either:
            place, which = order[-1]
            found[place][which] = replace(found[place][which], weak=True)
        elif match["either"]:
            if either or several or not found:
                passed.append(word)
            either, seen = word, seen + 1
        elif match["both"]:
            passed += [either] if either else []
            either = ""
        elif match["open"]:
            groups.append((len(order), seen, bool(either)))
        elif match["close"] and groups:
            first, before, follows = groups.pop()
            weak, seen = seen == before, before  # else they only hold an `or` together
            several = weak and len(order) - first > 1
            passed += ["OR"] if several and follows else []
            for place, which in order[first:] if weak else ():
                found[place][which] = replace(found[place][which], weak=True)
        elif not match["blank"]:
            passed.append(word)
    return tuple(map(tuple, found)), (*passed, *([either] if either else []), *["("] * len(groups))

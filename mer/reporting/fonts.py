"""Words in any script: drawn by a font that has them, where there is one, else as numbers that the caption explains."""

import functools
import re
from pathlib import Path

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter

USUAL = "DejaVu Sans"  # matplotlib's own, on every machine
LIKELY = re.compile(r"cjk|noto sans|han sans|hei|gothic|pingfang|hiragino|wenquanyi|unicode", re.IGNORECASE)


def legible(fig: Figure) -> str:
    """Make every text of a figure one that can be read; the legend of numbers that stand for words, else nothing.

    A figure whose words the usual font has is not touched, so that its bytes depend on no other font.
    """
    axes = [axis for ax in fig.axes for axis in (ax.xaxis, ax.yaxis)]
    marks = [text for axis in axes for text in axis.get_ticklabels()]  # they are written when they are asked for
    texts = list(dict.fromkeys(text for text in (*marks, *fig.findobj(Text)) if lacking(text.get_text())))
    if not texts:
        return ""
    family = _family("".join(sorted({char for text in texts for char in lacking(text.get_text())})))
    if family:
        for text in texts:
            text.set_fontfamily([USUAL, family])
        return ""
    numbers: dict[str, int] = {}
    for axis in axes:  # marks are written again when the figure is drawn
        words = [text.get_text() for text in axis.get_ticklabels()]
        if any(map(lacking, words)):
            axis.set_major_formatter(FixedFormatter([_numbered(word, numbers) for word in words]))
    for text in texts:
        text.set_text(_numbered(text.get_text(), numbers))
    return ", ".join(f"({number}) {word}" for word, number in numbers.items())


def _numbered(text: str, numbers: dict[str, int]) -> str:
    chars = lacking(text)
    return re.sub(f"[{re.escape(chars)}]+", lambda found: f"({numbers.setdefault(found[0], len(numbers) + 1)})",
                  text) if chars else text


def lacking(text: str) -> str:
    """The characters that the usual font does not have, each once."""
    return "".join(dict.fromkeys(char for char in text if ord(char) not in _usual() and not char.isspace()))


@functools.cache
def _usual() -> frozenset[int]:
    return frozenset(_characters(font_manager.findfont(USUAL)))


@functools.cache
def _family(chars: str) -> str:
    """A font of this machine that has all these characters, '' where none has."""
    wanted = set(map(ord, chars))
    fonts = sorted(font_manager.fontManager.ttflist, key=lambda font: (not LIKELY.search(font.name), font.name))
    for font in fonts:
        if Path(font.fname).is_file() and wanted <= _characters(font.fname):
            return font.name
    return ""


def _characters(path: str) -> set[int]:
    return set(font_manager.get_font(path).get_charmap())

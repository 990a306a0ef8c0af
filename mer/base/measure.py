"""What a number of an experiment is: its words, its unit, and what costs nothing and stands beside it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Measure:
    """A number of reports/metrics.json. A line of mer/evaluation/measures.py or of a model's config.py, `MEASURES`.

    Attributes:
        key: in metrics.json.
        words: what it is; about: the same in more words, for the cards of the page.
        unit: of the number as it is shown; scale: factor from metrics.json to that; digits: behind the point.
        better: less | more, "" where neither is.
        rival: key of what costs nothing, such as zero flow; constant: (words, value) of a rival that is no measure.
        surely: key of the lower end of the 95 % interval of its advantage over the rival, where there is one.
        column: of the prediction table, where each clip has the number and it is their mean; least: of the column.
        compute: confusion counts (..., n, n) -> (...), for a score of the classes.
    """

    key: str
    words: str
    unit: str = ""
    scale: float = 1
    digits: int = 3
    better: str = "less"
    rival: str = ""
    constant: tuple[str, float] | None = None
    surely: str = ""
    column: str = ""
    least: float = 0
    about: str = ""
    compute: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def title(self) -> str:
        """Words and unit."""
        return f"{self.words}, {self.unit}" if self.unit else self.words

    def shown(self, value: float) -> str:
        """A value of metrics.json on the measure's scale, without its unit."""
        return f"{self.scale * value:.{self.digits}f}"

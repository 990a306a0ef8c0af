"""A value of any size or depth in a message of a line."""

import itertools
import reprlib


def shown(value: object) -> str:
    """A value as it is written, or, of a large one, its beginning."""
    return SHORT.repr(value)


class _Short(reprlib.Repr):
    """`repr` of what is small; `...` in place of the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict = 4, 16
        self.maxlist = self.maxtuple = 64
        self.maxstring = self.maxlong = self.maxother = 400

    def repr_dict(self, x: dict, level: int) -> str:
        """In the order of the file, not sorted."""
        if level <= 0:
            return "{...}"
        pieces = [f"{self.repr1(key, level - 1)}: {self.repr1(value, level - 1)}"
                  for key, value in itertools.islice(x.items(), self.maxdict)]
        return "{" + ", ".join(pieces + ["..."] * (len(x) > self.maxdict)) + "}"

    def repr_int(self, x: int, level: int) -> str:
        """Python refuses to write one of more than some thousand digits."""
        return super().repr_int(x, level) if x.bit_length() < 8192 else f"a number of {x.bit_length()} bits"


SHORT = _Short()

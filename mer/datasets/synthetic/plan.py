"""What a synthetic release consists of: its settings and the list of its clips, from the `synthetic` parameters."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from mer.base.errors import MerError
from mer.datasets.synthetic.expressions import MACRO, SETS
from mer.datasets.synthetic.identity import PREFIX


class Settings(Protocol):
    """The `synthetic` section of params.yaml (mer.params)."""

    seed: int
    width: int
    height: int
    jpeg_quality: int
    distractors: float
    head_motion: float
    noise: float
    au_jitter: float
    subjects: int
    classes: tuple[str, ...]
    clips_per_class: int
    frames: int
    fps: float
    amplitude: float
    macro_subjects: int
    macro_clips_per_class: int
    macro_frames: int
    macro_fps: float
    macro_amplitude: float


@dataclass(frozen=True)
class Release:
    """Settings of one release: `frames` per clip, `amplitude` = median AU intensity, `noise` in grey levels."""

    name: str
    seed: int
    width: int
    height: int
    jpeg_quality: int
    distractors: float
    head_motion: float
    noise: float
    au_jitter: float
    subjects: int
    classes: tuple[str, ...]
    clips_per_class: int
    frames: int
    fps: float
    amplitude: float

    @property
    def px(self) -> float:
        """Size of the frame relative to the standard 280x340."""
        return min(self.width / 280, self.height / 340)

    def subject_name(self, subject: int) -> str:
        """Name of the 0-based subject: the prefix of the release and two digits from 01."""
        return f"{PREFIX[self.name]}{subject + 1:02d}"

    def clips(self, subject: int) -> Iterator[tuple[str, str, int]]:
        """(clip id, class word, number within the class) of a subject's clips, in order."""
        for word in self.classes:
            for number in range(self.clips_per_class):
                yield f"{self.subject_name(subject)}_{word}_{number + 1}", word, number


def releases(cfg: Settings) -> tuple[Release, Release]:
    """The micro release and the subject-disjoint macro release of the parameters.

    Raises:
        MerError: a class word that the micro release does not know.
    """
    unknown = [word for word in cfg.classes if word not in SETS["micro"]]
    if unknown:
        raise MerError(f"synthetic.classes: {unknown[0]!r}; expected words of {', '.join(SETS['micro'])}")
    common: dict[str, Any] = {
        "seed": cfg.seed, "width": cfg.width, "height": cfg.height, "jpeg_quality": cfg.jpeg_quality,
        "distractors": cfg.distractors, "head_motion": cfg.head_motion, "noise": cfg.noise, "au_jitter": cfg.au_jitter,
    }  # fmt: skip
    micro = Release(
        "micro", **common, subjects=cfg.subjects, classes=tuple(cfg.classes), clips_per_class=cfg.clips_per_class,
        frames=cfg.frames, fps=cfg.fps, amplitude=cfg.amplitude,
    )  # fmt: skip
    macro = Release(
        "macro", **common, subjects=cfg.macro_subjects, classes=tuple(MACRO),
        clips_per_class=cfg.macro_clips_per_class, frames=cfg.macro_frames, fps=cfg.macro_fps,
        amplitude=cfg.macro_amplitude,
    )  # fmt: skip
    return micro, macro

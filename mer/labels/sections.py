"""The sections of params.yaml that the labels depend on; the comments there say what each key means."""

from dataclasses import dataclass

from mer.base.knobs import knob


@dataclass(frozen=True)
class Landmarks:
    model_path: str | None = knob()
    upsample_retry: int = knob(0, 3)


@dataclass(frozen=True)
class Align:
    size: int = knob(32, 512)
    enlarge: float = knob(1, 6)
    border: int = knob(0, 255)
    per_frame: bool = knob()


@dataclass(frozen=True)
class Sampling:
    t: int = knob(2, 64)
    span: str = knob(choices=("clip", "onset_offset", "onset_apex"))
    sets: int = knob(1, 64)
    seed: int = knob(0, 2**31)


@dataclass(frozen=True)
class Flow:
    pairs: int = knob(1, 64)


@dataclass(frozen=True)
class Dynamic:
    coeffs: str = knob(choices=("exact", "simple"))

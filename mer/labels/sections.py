"""The sections of params.yaml that the labels depend on; the comments there say what each key means."""

from dataclasses import dataclass

from mer.base.knobs import knob


@dataclass(frozen=True)
class Landmarks:
    """Section `landmarks`: dlib's model file, null for that of the package; how often a frame may be enlarged;
    frames from one search of a whole frame to the next."""

    model_path: str | None = knob()
    upsample_retry: int = knob(0, 3)
    whole_every: int = knob(1, 100000)


@dataclass(frozen=True)
class Align:
    """Section `align`: side of the crop and its grey border (0..255), enlargement of the face box."""

    size: int = knob(32, 512)
    enlarge: float = knob(1, 6)
    border: int = knob(0, 255)
    per_frame: bool = knob()


@dataclass(frozen=True)
class Sampling:
    """Section `sampling`: t frames of each of `sets` offsets."""

    t: int = knob(2, 64)
    span: str = knob(choices=("clip", "onset_offset", "onset_apex"))
    sets: int = knob(1, 64)
    seed: int = knob(0, 2**31)


@dataclass(frozen=True)
class Flow:
    """Section `flow`: labelled pairs of each sampling set, 0 = all, and what computes them."""

    pairs: int = knob(0, 64)
    solver: str = knob(choices=("numba", "opencv", "torch"))


@dataclass(frozen=True)
class Dynamic:
    """Section `dynamic`: which coefficients weigh the frames, and how their sum becomes a picture."""

    coeffs: str = knob(choices=("exact", "simple"))
    stretch: str = knob(choices=("minmax", "symmetric"))

"""The section of params.yaml that the synthetic releases depend on; the comments there say what each key means."""

from dataclasses import dataclass

from mer.base.knobs import knob


@dataclass(frozen=True)
class Synthetic:
    """Section `synthetic`: sizes in pixels, rates in frames per second; `macro_...`: of the macro release."""

    seed: int = knob(0, 2**31)
    width: int = knob(160, 1920)
    height: int = knob(200, 1920)
    jpeg_quality: int = knob(50, 100)
    distractors: float = knob(0, 5)
    head_motion: float = knob(0, 10)
    noise: float = knob(0, 30)
    au_jitter: float = knob(0, 3)
    subjects: int = knob(2, 999)
    classes: tuple[str, ...] = knob(choices=("happiness", "disgust", "surprise", "repression", "sadness"), empty=False)
    clips_per_class: int = knob(1, 999)
    frames: int = knob(3, 999)
    fps: float = knob(1, 10000)
    amplitude: float = knob(0, 5)
    macro_subjects: int = knob(0, 999)
    macro_clips_per_class: int = knob(1, 999)
    macro_frames: int = knob(3, 999)
    macro_fps: float = knob(1, 10000)
    macro_amplitude: float = knob(0, 5)

"""One instruction set for all x86-64 processors, so that two of them make the same bytes.

numpy, OpenBLAS, MKL, oneDNN and ATen choose their kernels by the processor when they are imported; a kernel of another
width sums in another order. All are capped here at AVX2 with FMA (Intel since Haswell, 2013; AMD since Zen, 2017; an
older one gives its own bytes). Imported by the package `mer` before anything else, because the variables are read once;
worker processes inherit them. What the environment already says stays. The comparison that these settings come from is
tests/bench/processors.py.
"""

import os
import platform
import re
from pathlib import Path

from mer.base.errors import MerError
from mer.base.knobs import profile

CAPS = {  # costs nothing that can be measured
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # numpy's float64 exp, log and pow
    "OPENBLAS_CORETYPE": "Haswell",  # of numpy's and scipy's products and decompositions
    "OMP_WAIT_POLICY": "PASSIVE",  # the same bytes: threads that spin while they wait slow a busy machine down by far
}
TORCH_CAPS = {  # train.portable
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # convolutions
    # MKL looks at the vendor too: with "AVX2,STRICT", which costs nothing, two AMD processors agree but not AMD and
    # Intel (exp and log of tensors, products of some shapes). Its sqrt of tensors differs even with this, which is why
    # AdamW is fused in engine.train
    "MKL_CBWR": "COMPATIBLE",
}


def cap(path: str | Path = "params.yaml") -> None:
    """Set the variables for this process and its children; torch's only with `train.portable`; none if MER_PORTABLE=0.

    Too late for a library that is already imported.
    """
    if os.environ.get("MER_PORTABLE") == "0":
        return
    for name, value in (CAPS | TORCH_CAPS if wanted(path) else CAPS).items():
        os.environ.setdefault(name, value)


def wanted(path: str | Path = "params.yaml") -> bool:
    """`train.portable` of a params.yaml, or its profile's; false where there is none. mer.params checks the value."""
    try:
        import yaml  # not on a bare GPU machine

        told = yaml.load(Path(path).read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        value = told["train"]["portable"]
        if value is None:
            value = profile(told["profiles"], told["model"], told["profile"])["train"]["portable"]
        return value is True
    except (ImportError, OSError, MerError, ValueError, yaml.YAMLError, LookupError, TypeError):
        return False


def told() -> str:
    """What of this processor decides a network's bytes: the cap where it acts, else the processor's own name."""
    capped = all(os.environ.get(name) == value for name, value in TORCH_CAPS.items())
    if capped and platform.machine().lower() in ("x86_64", "amd64") and {"avx2", "fma"} <= _flags():
        return f"{platform.system()} x86-64 up to AVX2"
    return processor()


def _flags() -> set[str]:
    """The processor's features; where they cannot be read (not on Linux) those of the cap are taken to be there."""
    found = re.search(r"^flags\s*: (.*)", _cpuinfo(), re.MULTILINE)
    return set(found[1].split()) if found else {"avx2", "fma"}


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""


def processor() -> str:
    """The processor's own name, as in `AMD EPYC 9B45`."""
    names = re.findall(r"^model name\s*: (.*)", _cpuinfo(), re.MULTILINE)
    return names[0] if names else platform.processor() or platform.machine()

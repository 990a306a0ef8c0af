"""One instruction set for all x86-64 processors, so that two of them make the same bytes.

numpy, OpenBLAS, MKL, oneDNN and ATen choose their kernels by the processor when they are imported; a kernel of another
width sums in another order. All are capped here at AVX2 with FMA (Intel since Haswell, 2013; AMD since Zen, 2017; an
older one gives its own bytes). Imported by the package `mer` before anything else, because the variables are read once;
worker processes inherit them. What the environment already says stays. The comparison that these settings come from is
tests/bench/processors.py.
"""

import os
import re
from pathlib import Path

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
    """`train.portable` of a params.yaml, false where there is none; read as text, for PyYAML may not be installed.

    mer.params checks the value whenever a stage starts.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    section = re.search(r"^train:(.*(?:\n(?:[ \t].*)?)*)", re.sub(r"#.*", "", text), re.MULTILINE)
    value = section and re.search(r"[\s{,]portable:\s*(\w+)", section[1])
    return bool(value) and value[1].lower() == "true"


def processor() -> str:
    """The processor's own name, as in `AMD EPYC 9B45`, for records beside the packages' versions."""
    import platform

    try:
        names = re.findall(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()

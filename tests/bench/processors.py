"""The bytes of a few training steps on this processor and on emulated ones, with the caps of mer/base/portable.py.

    python tests/bench/processors.py                                   # minutes: an emulated step is 30-60 times slower
    python tests/bench/processors.py --cpus Haswell EPYC --names fdp

Needs qemu-x86_64 (Debian: qemu-user). ATen is held at its plain kernels for ma2mi, on both sides: the AVX2 gather of
qemu 7.2 is wrong (grid_sample is off by 3 against float64), and with those kernels there is none.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench import rows  # noqa: E402

from mer.base import portable  # noqa: E402

NAMES = ("mol", "fdp", "conv_ae", "ma2mi", "ma2mi_pretrain")
CPUS = ("Haswell", "EPYC")  # any of `qemu-x86_64 -cpu help` with AVX2; qemu emulates nothing wider


def hashes(cpu: str | None, name: str) -> dict[str, str]:
    """What tests/few_steps.py says of a network on a processor, this one if None."""
    env = {**os.environ, **portable.CAPS, **portable.TORCH_CAPS}
    if name.startswith("ma2mi"):
        env["ATEN_CPU_CAPABILITY"] = "default"
    emulator = ["nice", "qemu-x86_64", "-cpu", cpu] if cpu else []
    done = subprocess.run([*emulator, sys.executable, str(ROOT / "tests/few_steps.py"), name], env=env,
                          capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} on {cpu}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpus", nargs="+", default=CPUS)
    parser.add_argument("--names", nargs="+", choices=NAMES, default=NAMES)
    asked = rows.parse(parser)
    if shutil.which("qemu-x86_64") is None:
        sys.exit("skipped: no qemu-x86_64 here; apt-get install qemu-user")
    wrong = 0
    for name in asked.names:
        here = hashes(None, name)
        print(f"{name:16}{portable.processor():30}{here['weights']}")
        for cpu in asked.cpus:
            found = hashes(cpu, name)
            differ = [key for key in here if key != "name" and found[key] != here[key]]
            wrong += bool(differ)
            verdict = f"differs: {', '.join(differ)}" if differ else "OK"
            print(f"{name:16}{cpu:30}{found['weights']}  {verdict}", flush=True)
    of = len(asked.names) * len(asked.cpus)
    rows.emit(asked, rows.row("networks with the same bytes on emulated processors", of - wrong, f"of {of}",
                              goal=f"ours >= {of}"))
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()

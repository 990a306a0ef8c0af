"""How much memory this process and its workers have needed at most, and for how long it has run."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

MB = 2 ** 20
_imported = time.monotonic()
_workers: dict[str, int] = {}  # the largest peak that a worker told of, by name


def peak() -> dict[str, int]:
    """`memory_mb`, the largest resident size of this process so far, and with torch on a GPU `gpu_mb`, what it took of
    the card; MB of 2^20 bytes. Without what the system does not tell."""
    found = {}
    if resident := _resident():
        found["memory_mb"] = round(resident / MB)
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        found["gpu_mb"] = round(torch.cuda.max_memory_reserved() / MB)
    return found


def _resident() -> int:
    """Bytes. Linux's getrusage would tell the size of the parent that started this process, where that was larger."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource  # not on Windows
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def free() -> int | None:
    """Bytes that this process may still take: what the machine has left, less where its container (control group) or
    its own limit leaves less. None where nobody tells."""
    try:
        import psutil  # not on a bare GPU machine
    except ImportError:
        return None
    left = [psutil.virtual_memory().available]
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text(encoding="utf-8").strip()
        if limit != "max":
            stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="utf-8").splitlines())
            kept = int((group / "memory.current").read_text(encoding="utf-8"))
            cached = int(stat["inactive_file"]) + int(stat["active_file"])  # given back when memory is short
            left.append(int(limit) - kept + cached)
    except (OSError, ValueError, KeyError):
        pass
    try:
        import resource  # not on Windows

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most != resource.RLIM_INFINITY:
            left.append(most - psutil.Process().memory_info().vms)
    except ImportError:
        pass
    return max(0, min(left))


def tell(found: Mapping[str, int]) -> None:
    """Take in the `peak` of a worker: a process that outlives the map over its items, so that no parent sees it end."""
    for name, value in found.items():
        _workers[name] = max(value, _workers.get(name, 0))


def workers() -> dict[str, int]:
    """As `peak`, of the largest worker of this process; empty without workers."""
    return dict(_workers)


def running() -> float:
    """Seconds since this process started; where the system does not tell, since this module was imported."""
    try:
        started = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])  # field 22
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return time.monotonic() - _imported

"""The whole graph on an embedded macro release of over 20,000 frames: under a hard limit of memory, and on a cluster of
which a worker is killed half-way. The same products, byte for byte."""

import shutil
import subprocess
import threading
import time
from pathlib import Path

import cluster
import pytest
from pipeline import DVC, SMALL, checkout, commit, digests, environment, write_params

pytestmark = pytest.mark.slow

LIMIT_GB = 1.5  # of private memory, for each process
LARGE = {**SMALL, "synthetic": {**SMALL["synthetic"], "width": 160, "height": 200, "macro_subjects": 4,
                                "macro_clips_per_class": 6, "macro_frames": 120}}
STORES = ("raw", "index", "landmarks", "aligned", "flow", "dynamic", "latents", "pretrained", "folds")
REPORTS = ("metrics.json", "details.json", "predictions.csv", "quality.json", "pretraining.json")


def repro(root: Path, changes: dict, memory_gb: float | None = None) -> dict[str, str]:
    """Hashes of the products of `dvc repro` in a project of its own, in which `changes` are made to LARGE."""
    checkout(root)
    write_params(root / "params.yaml", {name: {**LARGE[name], **changes.get(name, {})}
                                        if isinstance(LARGE[name], dict) else LARGE[name] for name in LARGE})
    commit(root, "large")
    began = time.monotonic()
    done = subprocess.run([*DVC, "repro"], cwd=root, env=environment(root), capture_output=True, text=True,
                          timeout=1800, preexec_fn=cluster.limit(memory_gb))
    print(f"\n`dvc repro`, {changes or 'as it is'}: {time.monotonic() - began:.0f} s")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = digests(*(root / "data" / name for name in STORES), root / "reports")
    return {path: value for path, value in found.items() if "reports/" not in path or Path(path).name in REPORTS}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Of a run without any limit."""
    root = tmp_path_factory.mktemp("plain") / "project"
    found = repro(root, {})
    frames = sum(1 for _ in (root / "data/raw/synthetic_macro/frames").rglob("*.jpg"))
    print(f"{frames} frames of macro-expressions")
    assert frames > 20_000 and len(found) > 100
    shutil.rmtree(root)
    return found


def test_a_hard_limit_of_memory_changes_no_byte(plain, tmp_path):
    """Nor does what then follows: that training reads from the shards as it draws."""
    assert repro(tmp_path / "project", {"train": {"resident_gb": 0}}, LIMIT_GB) == plain


def test_a_cluster_that_loses_a_worker_changes_no_byte(plain, tmp_path):
    root = tmp_path / "project"
    with cluster.started(tmp_path / "dask", workers=2, memory_gb=LIMIT_GB) as dask:
        done, killed = threading.Event(), []

        def kill_half_way() -> None:
            while not done.is_set():
                made = len(list((root / ".scratch").glob("landmarks@synthetic_macro/*/*.h5")))
                if made > 168 / 2:
                    killed.append(made)
                    dask.kill(1)
                    return
                time.sleep(0.05)

        killer = threading.Thread(target=kill_half_way)
        killer.start()
        try:
            found = repro(root, {"parallel": {"backend": "dask", "cluster": dask.address}})
        finally:
            done.set()
            killer.join()
    assert killed and found == plain

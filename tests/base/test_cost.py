"""What a stage costs: the first measurement of a key stays, and a run's records are those of its own stages."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from mer.base import cost, memory, parallel, store
from mer.base.errors import MerError
from mer.base.scratch import scratch_dir


def test_every_stage_with_a_record_is_collected_and_no_other():
    graph = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    entries = {name: entry.get("do", entry) for name, entry in graph.items() if not name.endswith("-macro")}
    recorded = {name: path for name, entry in entries.items() for path in map(str, entry.get("outs", []))
                if path.startswith("data/costs/")}
    assert recorded == {name: cost._path(f"{name}@${{item}}" if name in cost.BY_DATASET else name).as_posix()
                        for name in cost.STAGES}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The working folder is an empty project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def stage(name, *inputs, **more):
    """Begin and end a stage: its record."""
    cost.begin(name, *inputs)
    cost.end(name, **more)
    return store.read_json(cost._path(name))


def collected(*datasets):
    """What `report` does."""
    store.write_json(cost.RECORDS, cost.collect(datasets))
    return json.loads(cost.RECORDS.read_text())


def test_a_record_tells_time_memory_and_machine(project):
    record = stage("flow@own", {"t": 4})
    assert record["seconds"] > 0 and record["memory_mb"] > 20 and f"{parallel.cores()} cores" in record["machine"]
    assert "continued" not in record and "steps" not in record
    assert (project / "data/costs/flow/own.json").is_file() and not cost.RECORDS.exists()


def test_the_first_measurement_of_a_key_stays_and_another_key_replaces_it(project):
    first = stage("flow@own", {"t": 4})
    kept = {**first, "seconds": 1e6}  # what this process never measures
    store.write_json(cost.RECORDS, {"flow@own": kept})
    assert stage("flow@own", {"t": 4}) == kept
    assert stage("flow@other", {"t": 4})["seconds"] < 1e6
    again = stage("flow@own", {"t": 8})
    assert again["key"] != kept["key"] and again["seconds"] < 1e6
    assert collected("own")["flow@own"] == again


def test_a_key_is_of_code_versions_and_inputs_and_of_no_folder(project, monkeypatch):
    first = stage("flow@own", 1)["key"]
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    assert stage("flow@own", 1)["key"] == first
    monkeypatch.setattr(cost.graph, "code", lambda stage, model: "other code")
    other = stage("flow@own", 1)["key"]
    monkeypatch.setattr(cost.environment, "versions", lambda stage: {"numpy": "0"})
    assert len({first, other, stage("flow@own", 1)["key"]}) == 3


def test_only_the_runs_stages_are_collected_in_the_graphs_order(project):
    for name in ("train", "flow@dropped", "flow@own", "synthesize"):
        stage(name)
    cost.nothing("latents")
    cost.nothing("dynamic@own")
    assert list(collected("dropped", "own")) == ["synthesize", "flow@dropped", "flow@own", "train"]
    assert list(collected("own")) == ["synthesize", "flow@own", "train"]
    (project / "data/costs/train.json").write_text('{"key": 1}')
    with pytest.raises(MerError, match=r"^data/costs/train\.json: not a record of what train cost; delete it"):
        collected("own")


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n{}", "[]", '{"train": 3}', '{"train": {"key": "a", "machine": "b"}}',
                                  '{"train": {"key": "a", "machine": "b", "seconds": "long"}}'])
def test_a_damaged_file_is_told_of_in_a_line_and_replaced(project, capsys, text):
    cost.RECORDS.parent.mkdir()
    cost.RECORDS.write_text(text)
    record = stage("train", 1)
    told = capsys.readouterr().err
    assert told.startswith("reports/costs.json: no records of costs (") and told.count("\n") == 1
    assert collected() == {"train": record}


def test_steps_are_the_lines_of_the_logs_and_their_rate_is_unknown_where_some_were_done_before(project):
    for name in "ab":
        store.write_csv(project / f"{name}.csv", ["step", "total"], [[1, 0.5], [2, 0.4], [3, 0.3]])
    record = stage("train", logs=project.glob("*.csv"), networks=2)
    assert record["steps"] == 12 and record["steps_per_second"] > 0
    scratch = scratch_dir("train", 1)
    (scratch / ".half.tmp").touch()
    cost.begin("train", 2, scratch=scratch)
    cost.end("train")
    assert "continued" not in store.read_json("data/costs/train.json")  # what was not finished is not re-used
    store.write_text(scratch / "0/state.pt", "")
    cost.begin("train", 3, scratch=scratch)
    cost.end("train", project.glob("a.csv"))
    record = store.read_json("data/costs/train.json")
    assert record["continued"] and record["steps"] == 3 and "steps_per_second" not in record


def hungry(megabytes):
    return int(np.ones(megabytes * memory.MB, np.uint8).sum())


def test_the_memory_of_the_largest_worker_counts(project, monkeypatch):
    monkeypatch.setattr(memory, "_workers", {})
    parallel.run_items(hungry, [("small", 1), ("large", 400)], desc="test", unit="item", workers=2)
    record = stage("train")
    assert record["worker_memory_mb"] > 400 and cost.peak_mb(record) >= record["worker_memory_mb"]
    assert cost.peak_mb({"seconds": 1}) is None


def test_a_gpu_in_use_is_told_of(project, monkeypatch):
    cuda = SimpleNamespace(is_initialized=lambda: True, max_memory_reserved=lambda: 3 * memory.MB,
                           get_device_name=lambda: "A card")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    record = stage("train")
    assert record["gpu_mb"] == 3 and record["machine"].endswith(", A card")
    cuda.is_initialized = lambda: False
    assert "gpu_mb" not in stage("train") and "card" not in cost.machine()


def test_the_memory_is_the_process_own_and_not_its_parents():
    """As getrusage tells it, it would be this one's."""
    held = np.ones(300 * memory.MB, np.uint8)
    script = "from mer.base import memory; print(memory.peak()['memory_mb'], memory.running())"
    size, seconds = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True
                                   ).stdout.split()
    assert len(held) > 250 * memory.MB and 0 < int(size) < 250 and 0 < float(seconds) < 60

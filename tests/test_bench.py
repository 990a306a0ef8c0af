"""`mer bench`: every benchmark is run as this machine can, and one that fails is a line."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from bench import rows

from mer import bench
from mer.base import portable
from mer.base.errors import MerError

ROOT = Path(__file__).parents[1]
FAST = rows.row("solver", 20.0, "ms", other=100.0, against="theirs", ratio=5.0, goal="ratio >= 5", floor=15.0,
                floor_is="arithmetic")
ABOUT = {"machine": "a computer, 2 cores", "commit": "abc"}
SCRIPTS = {
    "good": f"import json, os\nprint('words')\nprint(json.dumps([{FAST!r} | {{'what': ' '.join(sys.argv[1:])}}]))",
    "threads": f"import json, os\nnames = 'MER_PORTABLE', 'NPY_DISABLE_CPU_FEATURES', 'ATEN_CPU_CAPABILITY'\n"
               f"print(json.dumps([{FAST!r} | {{'ours': int(os.environ['OMP_NUM_THREADS']), "
               "'what': ' '.join(os.environ.get(name, '-') for name in names)}]))",
    "broken": "print('half')\nraise ValueError('no such number')",
    "unmet": f"import json\nprint(json.dumps([{FAST!r} | {{'ratio': 4.9}}]))\nsys.exit(1)",
    "silent": "",
    "words": "print('not a row')",
    "endless": "import subprocess, time\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(90)'])\n"
               "time.sleep(90)"}


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A folder with SCRIPTS as its benchmarks; no GPU."""
    folder = tmp_path / "checkout/tests/bench"
    folder.mkdir(parents=True)
    for name, text in SCRIPTS.items():
        (folder / f"{name}.py").write_text(f"import sys\n{text}\n")
    suite = {name: {"cpu": 30} for name in SCRIPTS} | {"good": {"cpu": 30, "gpu": 20}, "endless": {"cpu": 1,
                                                                                               "long": True}}
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite, sort_keys=False))
    monkeypatch.setattr(bench, "ROOT", tmp_path / "checkout")
    monkeypatch.setattr(bench, "has_gpu", lambda: False)
    monkeypatch.setattr(bench, "machine", lambda root, gpu: ABOUT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mer bench", *words])
    return bench.run()


def table(path: Path) -> list[dict]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_row_is_what_the_scripts_print(capsys):
    assert tuple(rows.row("a", 1, "ms")) == bench.ROW
    args = type("Args", (), {"json": True, "quick": False})
    rows.emit(args, FAST)
    assert bench.parse(capsys.readouterr().out.strip()) == [FAST]
    args.quick = True
    rows.emit(args, FAST)
    assert bench.parse(capsys.readouterr().out) == [{**FAST, "goal": ""}]


@pytest.mark.parametrize("line", ["", "done", "[]", "{}", "[1]", json.dumps([{"what": "a"}])] + [
    json.dumps([{**FAST, **wrong}]) for wrong in ({"ours": None}, {"ours": "fast"}, {"goal": "fast"}, {"goal": 5},
                                                  {"ratio": None}, {"unit": 3}, {"more": 1})])
def test_another_line_is_no_row(line):
    assert bench.parse(line) is None


@pytest.mark.parametrize(("change", "expected"), [
    ({}, "yes"), ({"ratio": 4.99}, "no"), ({"goal": ""}, ""), ({"goal": "ours <= 20"}, "yes"),
    ({"goal": "ours <= 19.9"}, "no"), ({"goal": "ours >= 20"}, "yes"), ({"goal": "ratio <= 0.5"}, "no")])
def test_a_goal_is_met_or_not(change, expected):
    row = {**FAST, **change}
    assert bench.parse(json.dumps([row])) and bench.met(row) == expected


def test_every_benchmark_of_the_project_is_in_the_list_and_prints_rows():
    suite = bench.suite(ROOT)
    scripts = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / bench.FOLDER).glob("*.py")}
    assert set(suite) == set(scripts) - {"rows", "steps"}
    assert [name for name in suite if "rows.emit(" not in scripts[name] or "rows.parse(" not in scripts[name]] == []
    for name, (part, _) in bench.choose(suite, [], gpu=False).items():
        assert part == "cpu" and "quick=" in scripts[name], name
    gpu = bench.choose(suite, [], gpu=True)
    assert gpu and all(part == "gpu" and "cuda=" in scripts[name] for name, (part, _) in gpu.items())
    assert sum(limit for _, limit in gpu.values()) < 8 * 60


def test_the_table_has_each_number_and_what_failed_and_why(checkout, monkeypatch, capsys):
    assert run(monkeypatch, "--quick") == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["what", "ours", "other", "arm", "ratio", "goal", "floor", "met"]
    assert lines[1].split("  ")[0] == "--json --quick" and lines[1].endswith("yes")
    assert "20 ms" in lines[1] and "100 ms: theirs" in lines[1] and "15 ms" in lines[1]
    assert lines[2].split()[:4] == ["0", "-", "-", "1"], "this processor's own kernels, one thread"
    assert lines[3].endswith("no"), "an exit code does not take away what was measured"
    assert lines[4:7] == ["broken: failed with exit code 1: ValueError: no such number",
                          "silent: failed with exit code 0: it said nothing",
                          "words: failed with exit code 0: not a row"]
    assert {"floor: arithmetic", "machine: a computer, 2 cores", "commit: abc",
            "no GPU that torch sees: no GPU figure was taken", "bench.csv: the same as CSV",
            "the sizes of --quick: no figure to quote, no goal"} <= set(lines)
    assert "1 of 6: good on the CPU, at most 30 s" in err and "Traceback" not in out + err

    written = table(checkout / "bench.csv")
    assert [row["benchmark"] for row in written] == ["good", "threads", "broken", "unmet", "silent", "words"]
    assert [row["met"] for row in written] == ["yes", "yes", "", "no", "", ""]
    assert {row["machine"] for row in written} == {ABOUT["machine"]}
    assert (written[0]["ours"], written[0]["other"], written[0]["ratio"], written[0]["floor"]) == ("20", "100", "5",
                                                                                                   "15")
    assert written[2]["reason"] == lines[4].partition(": ")[2]


def test_a_gpu_runs_the_gpu_parts_alone_and_what_is_named(checkout, monkeypatch, capsys):
    monkeypatch.setattr(bench, "has_gpu", lambda: True)
    assert run(monkeypatch, "--out", "gpu.csv") == 0
    assert [row["what"] for row in table(checkout / "gpu.csv")] == ["--json --device cuda"]
    assert "no GPU" not in capsys.readouterr().out
    assert run(monkeypatch, "threads", "good", "--out", "gpu.csv") == 0
    assert [row["benchmark"] for row in table(checkout / "gpu.csv")] == ["threads", "good"]


def test_what_takes_too_long_is_ended_with_all_that_it_started(checkout, monkeypatch, capsys):
    began = time.monotonic()
    assert run(monkeypatch, "endless", "good") == 1
    assert time.monotonic() - began < 60, "its child, which sleeps 90 s, held the pipe"
    assert "endless: stopped after 1 s" in capsys.readouterr().out
    assert [row["reason"] for row in table(checkout / "bench.csv")] == ["stopped after 1 s", ""]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers of signals here")
def test_ctrl_c_keeps_what_was_measured(checkout, monkeypatch, capsys):
    path = checkout / "checkout/tests/bench/suite.yaml"
    path.write_text(path.read_text().replace("cpu: 1\n", "cpu: 80\n"))

    def interrupt(*_):
        raise KeyboardInterrupt

    def measure(script, *rest, real=bench.measure):
        if script.stem == "endless":
            signal.setitimer(signal.ITIMER_REAL, 0.5)
        return real(script, *rest)

    monkeypatch.setattr(bench, "measure", measure)
    before, began = signal.signal(signal.SIGALRM, interrupt), time.monotonic()
    try:
        assert run(monkeypatch, "good", "endless", "words") == 130
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < 60
    out, err = capsys.readouterr()
    assert "interrupted in endless" in err and "100 ms: theirs" in out and "words" not in out
    assert [row["benchmark"] for row in table(checkout / "bench.csv")] == ["good"]


def test_wrong_words_and_a_missing_checkout_are_a_line(checkout, monkeypatch):
    with pytest.raises(MerError, match=r"^benchmark 'godo': there is none; expected good, threads, [^\n]*$"):
        run(monkeypatch, "godo")
    with pytest.raises(MerError, match=r"^--out nowhere.x\.csv: expected a file in a folder that is there$"):
        run(monkeypatch, "--out", "nowhere/x.csv")
    monkeypatch.setattr(bench, "ROOT", checkout)
    with pytest.raises(MerError, match=r"^no tests/bench beside the package mer: [^\n]*clone it[^\n]*$"):
        run(monkeypatch)
    assert not list(checkout.glob("*.csv"))


def test_a_long_benchmark_is_run_as_by_hand(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MER_PORTABLE", "1")
    assert bench.surroundings(long=True).items() >= {"MER_PORTABLE": "1"}.items()
    assert not {"OMP_NUM_THREADS", *portable.CAPS} & set(bench.surroundings(long=True))
    assert bench.surroundings(long=False)["MER_PORTABLE"] == "0"


def test_the_machine_is_told_in_words():
    about = bench.machine(ROOT, gpu=False)
    assert "cores" in about["machine"] and "torch 2" in about["versions"] and about["commit"]


@pytest.mark.slow
def test_the_real_thing(tmp_path):
    done = subprocess.run([sys.executable, "-m", "mer.bench", "tvl1", "--quick", "--out", str(tmp_path / "bench.csv")],
                          cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = table(tmp_path / "bench.csv")
    assert float(first["ratio"]) > 1 and first["against"] == "OpenCV" and float(first["floor"]) > 0
    assert (second["ours"], second["unit"]) == ("2", "of 2")

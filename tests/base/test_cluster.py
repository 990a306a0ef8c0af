"""Items on a Dask cluster of real processes over TCP: the same results whatever is lost, and one line where it ends."""

import functools
import os
import signal
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import cluster as processes
import numpy as np
import pytest

from mer.base import cluster, hand, knobs, parallel, scratch, store
from mer.base.errors import MerError
from mer.base.knobs import Parallel

hands = pytest.importorskip("mer.base.hands")  # it imports distributed, of the extra `cluster`
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and process groups")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    with processes.started(tmp_path_factory.mktemp("dask")) as dask:
        yield dask


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of its own, so that `.scratch` is not the checkout's."""
    monkeypatch.chdir(tmp_path)


def on(address: str) -> Parallel:
    return Parallel(0, "dask", address)


def mapped(fn, items, dask, **words):
    return parallel.run_items(fn, [(str(item), item) for item in items], desc="test", unit="item",
                              **{"on": on(dask.address) if dask else None, **words})


def where(item):
    time.sleep(0.05)
    return item * 2, os.getpid(), os.getcwd(), os.environ.get("MKL_CBWR"), os.environ.get("OMP_NUM_THREADS")


def picky(item):
    if item == 3:
        raise MerError("item 3: is bad; expected a good one")
    return item


def noted(item, folder: Path):
    """An array, and what process made it, which takes a while."""
    (folder / f"{item}-{os.getpid()}").touch()
    time.sleep(0.2)
    return {"value": np.array([item * 2])}


def deadly(item, folder: Path):
    (folder / f"{item}-{os.getpid()}").touch()
    if item == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_items_run_in_processes_of_the_run_s_own_folder_and_environment(two, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_CBWR", raising=False)
    found = mapped(where, range(8), two)
    assert [value for value, *_ in found] == [0, 2, 4, 6, 8, 10, 12, 14]
    pids = {pid for _, pid, *_ in found}
    assert len(pids) == 2 and not pids & {process.pid for process in (two.scheduler, *two.workers)}
    assert {rest for _, _, *rest in map(tuple, found) for rest in [tuple(rest)]} == {(str(tmp_path), None, "3")}
    until = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, pids))  # the run is over
    assert list((tmp_path / ".scratch").iterdir()) == []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_on_this_machine_without_a_scheduler():
    found = mapped(where, range(4), None, on=on("local"), workers=2)
    assert [value for value, *_ in found] == [0, 2, 4, 6] and len({pid for _, pid, *_ in found}) == 2


def test_an_error_in_a_worker_arrives_as_it_is_and_the_cluster_serves_on(two):
    with pytest.raises(MerError, match=r"^item 3: is bad; expected a good one$"):
        mapped(picky, range(6), two)
    assert mapped(picky, [1, 2], two) == [1, 2]


def test_a_worker_that_is_killed_half_way_loses_its_item_alone(tmp_path):
    """Killed by the parent as soon as four items were begun; all results are there, in order, as those of one."""
    items = [(f"clip{i}", i) for i in range(10)]
    (tmp_path / "begun").mkdir()
    fn = functools.partial(noted, folder=tmp_path / "begun")
    alone = [fn(item) for _, item in items]
    for path in (tmp_path / "begun").iterdir():
        path.unlink()
    with processes.started(tmp_path / "dask") as dask:
        killer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(f"""
            import os, signal, time
            while len(os.listdir({str(tmp_path / 'begun')!r})) < 4:
                time.sleep(0.01)
            os.kill({dask.workers[0].pid}, signal.SIGKILL)""")])
        made = kept(fn, items, _folder(tmp_path / "scratch"), on=on(dask.address))
        assert killer.wait(timeout=30) == 0 and dask.workers[0].wait(timeout=10) == -signal.SIGKILL
    assert [m["value"].tolist() for m in made] == [a["value"].tolist() for a in alone]
    begun = [path.name.split("-")[0] for path in (tmp_path / "begun").iterdir()]
    assert 10 <= len(begun) <= 12  # one is in hand, and one may have been given ahead


def kept(fn, items, folder: Path, **where) -> list[dict]:
    """The results of `scratch.work`, read back."""
    scratch.work(fn, items, folder, desc="test", **where)
    return [store.read_shard(scratch.kept(folder, name))[0][name] for name, _ in items]


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_an_item_that_ends_every_process_is_named(two, tmp_path, capsys):
    with pytest.raises(MerError, match=r"^test: item 2 ended every process that tried it, 4 times \(exit code -9\)"):
        mapped(functools.partial(deadly, folder=tmp_path), range(4), two)
    assert len({path.name for path in tmp_path.glob("2-*")}) == cluster.TRIES
    assert capsys.readouterr().err.count("it is done again") == cluster.TRIES - 1


def test_a_lost_scheduler_is_one_line_and_the_next_run_goes_on(tmp_path):
    items, begun = [(f"clip{i}", i) for i in range(8)], _folder(tmp_path / "begun")
    fn, folder = functools.partial(noted, folder=begun), _folder(tmp_path / "scratch")
    with processes.started(tmp_path / "dask") as dask:
        killer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(f"""
            import os, signal, time
            while len([name for name in os.listdir({str(folder)!r}) if name[0] != '.']) < 3:
                time.sleep(0.01)
            os.kill({dask.scheduler.pid}, signal.SIGKILL)""")])
        with pytest.raises(MerError, match=r"^test: the Dask scheduler at tcp://\S+ is lost; start it and its workers "
                                           r"again; finished items are kept, run the same command again"):
            kept(fn, items, folder, on=on(dask.address))
        assert killer.wait(timeout=30) == 0
    there = {path.name for path in folder.glob("clip*.h5")}
    assert 3 <= len(there) < 8
    before = len(list(begun.iterdir()))
    made = kept(fn, items, folder, workers=1)
    assert [m["value"][0] for m in made] == [2 * i for i in range(8)]
    assert len(list(begun.iterdir())) == before + 8 - len(there)


def test_workers_that_are_all_lost_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "GRACE", 0.5)
    monkeypatch.setattr(cluster, "LOOK", 0.2)
    with processes.started(tmp_path / "dask", workers=1) as dask:
        killer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(f"""
            import os, signal, time
            while not os.listdir({str(_folder(tmp_path / 'begun'))!r}):
                time.sleep(0.01)
            os.kill({dask.workers[0].pid}, signal.SIGKILL)""")])
        with pytest.raises(MerError, match=r"^test: every worker at \S+ is lost since \d s; the last ones had item "):
            mapped(functools.partial(noted, folder=tmp_path / "begun"), range(4), dask)
        assert killer.wait(timeout=30) == 0


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch):
    monkeypatch.setattr(cluster, "REACH", 0.5)
    with pytest.raises(MerError, match=r"^no Dask scheduler answers at tcp://127.0.0.1:9 \(.*start it"):
        mapped(picky, [1], None, on=on("tcp://127.0.0.1:9"))
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:10")
    with pytest.raises(MerError, match=r"answers at tcp://127.0.0.1:10 "):
        mapped(picky, [1], None, on=Parallel(0, "dask"))


@pytest.mark.parametrize("name", ["data folder's digest", "mer's code", "numpy", "scratch folder"])
def test_a_worker_that_sees_something_else_is_refused_before_any_item(two, monkeypatch, tmp_path, name):
    known = hand.facts
    monkeypatch.setattr(hand, "facts", lambda token: known(token) | {name: "other"})
    with pytest.raises(MerError) as error:
        mapped(functools.partial(deadly, folder=tmp_path), [1], two)
    assert f"at {two.address} sees something else than this process: {name} " in str(error.value)
    assert "expected other" in str(error.value) and list(tmp_path.glob("1-*")) == []


def test_the_data_folder_s_digest_is_of_its_stores_summaries_and_of_the_releases_names(tmp_path):
    data = tmp_path / "data"
    for name in ("aligned/own", "folds"):
        (data / name).mkdir(parents=True)
        (data / name / "summary.json").write_text("{}")
    seen = [hand.data(data)]
    (data / "aligned/own/summary.json").write_text('{"clips": 1}')
    seen.append(hand.data(data))
    (data / "raw/own").mkdir(parents=True)
    seen.append(hand.data(data))
    assert len(set(seen)) == 3 and seen[-1] == hand.data(data)


def test_a_worker_without_the_folder_is_refused(two, monkeypatch):
    known = hands.Run
    monkeypatch.setattr(hands, "Run", lambda name, folder, *rest: known(name, f"{folder}/nowhere", *rest))
    with pytest.raises(MerError, match=r"sees something else than this process: No such file or directory: .*nowhere"):
        mapped(picky, [1], two)


def seen_gpu(item):
    time.sleep(0.1)
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def test_workers_that_declare_gpus_get_one_item_a_gpu(tmp_path):
    with processes.started(tmp_path / "dask", workers=1, threads=2, resources="GPU=2",
                           environ={"CUDA_VISIBLE_DEVICES": "4,7"}) as dask:
        assert set(mapped(seen_gpu, range(6), dask, gpus=True)) == {"4", "7"}
        assert set(mapped(seen_gpu, range(2), dask)) == {"4,7"}


def test_slurm_is_asked_for_jobs_by_dask_jobqueue(two, monkeypatch):
    """dask-jobqueue is simulated: what is shown is what it is asked for, and its absence; no SLURM was ever seen."""
    from distributed.core import Status

    asked = []

    class SLURMCluster:
        scheduler_address, status = two.address, Status.running

        def scale(self, jobs):
            asked.append(jobs)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            asked.append("closed")

    monkeypatch.setitem(sys.modules, "dask_jobqueue", types.SimpleNamespace(SLURMCluster=SLURMCluster))
    assert mapped(picky, [1, 2], None, on=Parallel(5, "dask", "slurm")) == [1, 2] and asked == [5, "closed"]
    with pytest.raises(MerError, match="workers = 0 with parallel.cluster = 'slurm'; expected how many jobs"):
        mapped(picky, [1, 2], None, on=Parallel(0, "dask", "slurm"))
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(MerError, match="needs dask-jobqueue; pip install dask-jobqueue"):
        mapped(picky, [1, 2], None, on=Parallel(5, "dask", "slurm"))


@pytest.mark.parametrize(("values", "words"), [
    ({"backend": "dask", "cluster": "10.0.0.1"}, "cluster = '10.0.0.1'; expected null, local, slurm or tcp://host:port"),
    ({"cluster": "local"}, "cluster = 'local' with backend = 'loky'; expected backend = dask"),
    ({"devices": ["gpu"]}, "devices = ['gpu']; expected of cpu, cuda:0, cuda:1"),
    ({"devices": ["cpu", "cuda:0"]}, "expected all of one kind")])
def test_a_section_that_makes_no_sense_is_refused(values, words):
    with pytest.raises(MerError) as error:
        knobs.build(Parallel, {"workers": 0, "backend": "loky", **values}, "parallel.")
    assert str(error.value).startswith("params.yaml: parallel: ") and words in str(error.value)
    assert knobs.build(Parallel, {"workers": 0, "backend": "loky"}, "parallel.") == knobs.HERE


WORK = """
    import os, sys, time
    from mer.base import parallel
    from mer.base.errors import main
    from mer.base.knobs import Parallel
    def slow(seconds):
        open(f"worker-{os.getpid()}", "w").close()
        time.sleep(seconds)
    def run():
        parallel.run_items(slow, [(str(i), 60) for i in range(4)], desc="slow", unit="item", workers=2,
                           on=Parallel(0, "dask", sys.argv[1]))
    main(run)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
@pytest.mark.parametrize(("address", "send", "number", "code", "word"), [
    ("tcp", os.kill, signal.SIGTERM, 143, "terminated"), ("tcp", os.kill, signal.SIGINT, 130, "interrupted"),
    ("local", os.killpg, signal.SIGINT, 130, "interrupted")])  # as a terminal does
def test_a_stopped_command_is_one_line_and_its_items_end(two, tmp_path, address, send, number, code, word):
    command = [sys.executable, "-c", textwrap.dedent(WORK), two.address if address == "tcp" else "local"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
                               env={**os.environ, "PYTHONPATH": str(ROOT)})
    for _ in range(600):
        workers = [int(path.name.partition("-")[2]) for path in tmp_path.glob("worker-*")]
        if len(workers) == 2:
            break
        time.sleep(0.05)
    send(process.pid, number)
    _, told = process.communicate(timeout=60)
    lines = [line for line in told.splitlines() if line.strip() and "slow:" not in line]
    assert process.returncode == code and "Traceback" not in told, told
    assert lines == [f"{word}; finished items are kept, run the same command again to continue"], told
    for _ in range(100):
        if not any(map(alive, workers)):
            break
        time.sleep(0.05)
    assert not any(map(alive, workers))

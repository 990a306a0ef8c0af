"""Every row of MOL's Tables IX to XV trains from `dvc exp run -S ...` alone (VIII: test_all_tables.py)."""

import json
import shutil

import pytest
from pipeline import SMALL, commit, dvc, finished, run, write_params

from mer.evaluation import results
from mer.tables import rows as demands

pytestmark = pytest.mark.slow


def rows() -> dict[str, dict]:
    """The knobs of each row, by table and what its stub says; the same knobs once."""
    book, found = demands.paper("mol"), {}
    for table in (f"mol-{number}" for number in range(9, 16)):
        spec = book["tables"][table]
        for row in (row for group in spec["groups"] for row in group["rows"] if "own" in row):
            if row["own"] not in found.values():
                found[f"{table} {' '.join(str(row[key]) for key in spec['stub'])}"] = row["own"]
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The finished miniature's labels, without pretraining and with the network after the second step alone."""
    root = tmp_path_factory.mktemp("rows") / "project"
    shutil.copytree(finished(tmp_path_factory.getbasetemp()), root, symlinks=True)
    few = {**SMALL, "selection": ["last"], "pretrain": {**SMALL["pretrain"], "sources": []},
           "train": {**SMALL["train"], "steps": 2, "workers": 1, "keep_checkpoints": False},
           "evaluate": {**SMALL["evaluate"], "pictures": 0}}
    write_params(root / "params.yaml", few)
    commit(root, "few steps")
    return root


@pytest.mark.parametrize("own", rows().values(), ids=rows().keys())
def test_the_row_trains_from_the_command_line(project, own):
    words = []
    for key, value in own.items():
        words += ["-S", f"{key}={json.dumps(value)}"]
    assert run(project, "git", "checkout", "--quiet", "params.yaml").code == 0
    done = dvc(project, "exp", "run", *words)
    assert done.code == 0, done.tail()
    numbers = results.read(project / "reports")
    assert 0 <= numbers["accuracy"] <= 1 and numbers["n_clips"] > 0
    tasks = own.get("mol.tasks", ["mer", "flow", "landmark"])
    assert ("epe" in numbers) == ("flow" in tasks) and ("nme" in numbers) == ("landmark" in tasks)

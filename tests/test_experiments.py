"""What a user does with DVC, for real: nothing to do, a variant and back, values that are refused, an own dataset."""

import csv
import json
import re
import shutil

import pytest
import yaml
from pipeline import ROOT, commit, dvc, finished, run

from mer.evaluation import results

pytestmark = pytest.mark.slow

TRAINING = ["pretrain", "train", "evaluate", "report"]


@pytest.fixture
def project(tmp_path, tmp_path_factory):
    """A copy of the finished and committed miniature."""
    return shutil.copytree(finished(tmp_path_factory.getbasetemp()), tmp_path / "project", symlinks=True)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory):
    """The same, for runs that fail and change nothing but params.yaml."""
    folder = tmp_path_factory.mktemp("refusing") / "project"
    return shutil.copytree(finished(tmp_path_factory.getbasetemp()), folder, symlinks=True)


def variant(root, *settings):
    return dvc(root, "exp", "run", *(word for setting in settings for word in ("-S", setting)))


def changed_metrics(root) -> dict:
    """{name: {old, new}} of reports/metrics.json against the last commit."""
    done = dvc(root, "metrics", "diff", "--json")
    assert done.code == 0, done.tail()
    return json.loads(done.out).get("reports/metrics.json", {})


def test_a_second_repro_runs_nothing(project):
    first, second = dvc(project, "repro"), dvc(project, "repro")  # the first has to hash the copied files again
    print(f"\n`dvc repro` with nothing to do: {second.seconds:.1f} s")
    for done in (first, second):
        assert done.code == 0 and done.ran == [], done.tail()
    assert "Data and pipelines are up to date." in second.out
    assert run(project, "git", "status", "--porcelain").out == ""
    assert changed_metrics(project) == {}


def test_a_loss_weight_trains_again_and_setting_it_back_does_not(project):
    before = results.read(project / "reports")
    costs = json.loads((project / "reports/costs.json").read_text())
    off = variant(project, "lambda_f=0")
    assert off.code == 0 and off.ran == ["check", *TRAINING], off.tail()
    diff = changed_metrics(project)
    assert diff["epe"]["old"] == before["epe"] != diff["epe"]["new"]
    (shown,) = re.findall(r"dvc exp show (--only-changed --drop) '(.+)'", (ROOT / "README.md").read_text())
    for words in (("exp", "show", *shown[0].split(), shown[1]), ("metrics", "diff")):
        lines = dvc(project, *words).out.splitlines()
        assert 2 < len(lines) <= 25 and max(map(len, lines)) <= 120, (words, len(lines), max(map(len, lines)))
    others = json.loads((project / "reports/costs.json").read_text())
    assert {name for name, record in others.items() if record != costs[name]} == {"pretrain", "train"}
    experiment = run(project, "git", "for-each-ref", "--format=%(objectname)", "refs/exps/??/*/*").out.split()
    assert [json.loads(run(project, "git", "show", f"{ref}:reports/costs.json").out) for ref in experiment] == [others]
    back = variant(project, "lambda_f=null")
    assert back.code == 0, back.tail()
    assert not {"pretrain", "train"} & set(back.ran), back.tail()
    for name in ("pretrain", "train"):
        assert f"Stage '{name}' is cached - skipping run, checking out outputs" in back.out, back.out
    assert results.read(project / "reports") == before
    assert changed_metrics(project) == {}
    assert run(project, "git", "diff", "--name-only").out == ""  # the costs came back with their products
    assert json.loads((project / "reports/costs.json").read_text()) == costs


def test_a_queued_experiment_runs_again_only_what_its_parameter_changes(project):
    assert dvc(project, "exp", "run", "--queue", "-S", "train.weight_decay=0.002").code == 0
    assert run(project, "git", "checkout", "--quiet", "params.yaml").code == 0
    done = dvc(project, "exp", "run", "--run-all")
    assert done.code == 0 and done.ran == ["check", "train", "evaluate", "report"], done.tail()
    assert run(project, "git", "status", "--porcelain").out == ""


def test_a_clone_with_the_committed_costs_gives_the_committed_files(project, tmp_path):
    """Nothing of the cache is there, every stage runs, and takes other times."""
    clone = tmp_path / "clone"
    assert run(tmp_path, "git", "clone", "--quiet", str(project), str(clone)).code == 0
    first = dvc(clone, "repro")
    assert first.code == 0 and {"synthesize", "flow@synthetic", *TRAINING} <= set(first.ran), first.tail()
    assert run(clone, "git", "status", "--porcelain").out == "", run(clone, "git", "diff").out[:3000]
    costs = json.loads((clone / "reports/costs.json").read_text())
    assert {"synthesize", "index@synthetic", "align@synthetic_macro", "pretrain", "train"} <= costs.keys()
    assert costs["train"]["steps"] == 18 and costs["train"]["steps_per_second"] > 0
    assert costs["landmarks@synthetic"]["worker_memory_mb"] > 0 and "dynamic@synthetic" not in costs
    assert dvc(clone, "repro").ran == []
    assert run(clone, "git", "status", "--porcelain").out == ""
    assert dvc(clone, "status").out.strip() == "Data and pipelines are up to date."

    again = tmp_path / "again"  # with that one's cache: no file that DVC keeps beside a product is an input
    assert run(tmp_path, "git", "clone", "--quiet", str(clone), str(again)).code == 0
    assert dvc(again, "cache", "dir", "--local", str(clone / ".dvc/cache")).code == 0
    assert dvc(again, "checkout").code == 0
    assert dvc(again, "status").out.strip() == "Data and pipelines are up to date."
    assert dvc(again, "repro").ran == []


def test_another_model_runs_on_the_same_faces_and_its_knobs_run_again_only_what_they_change(project):
    """MA2MI: no stage before the alignment is run for it; its autoencoder changes no label."""
    first = variant(project, "model=ma2mi", "sampling.t=2", "selection=[last]")
    assert first.code == 0, first.tail()
    before = {"synthesize", "index@synthetic", "index-macro@synthetic_macro", "landmarks@synthetic",
              "landmarks-macro@synthetic_macro"}
    assert {"align@synthetic", "latents", *TRAINING} <= set(first.ran) and not before & set(first.ran)
    summary = json.loads((project / "data/latents/summary.json").read_text())
    assert summary["autoencoder"]["kind"] == "conv_ae" and summary["clips"] == 14
    commit(project, "MA2MI")
    pixels = variant(project, "ma2mi.autoencoder=none")
    assert pixels.code == 0 and pixels.ran == ["check", "latents", *TRAINING], pixels.tail()
    assert json.loads((project / "data/latents/summary.json").read_text())["autoencoder"] is None
    missing = variant(project, "ma2mi.autoencoder=sd_vae")
    assert missing.code != 0 and missing.ran == ["check", "latents"], missing.tail()
    assert "error: ma2mi.sd_vae: data/sd_vae has no " in missing.err and "put config.json" in missing.err


def edit(path, before, after):
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def add_a_model(root):
    """A folder and a block in params.yaml, as a new model brings them."""
    shutil.copytree(root / "mer/models/mol", root / "mer/models/twin", ignore=shutil.ignore_patterns("__pycache__"))
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    values["twin"] = values["mol"]
    values["profiles"]["twin"] = {"paper": {"twin": values["profiles"]["mol"]["demo"]["mol"]}}
    (root / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def add_a_release(root):
    for suffix in ("py", "yaml"):
        shutil.copy(root / f"mer/datasets/readers/samm.{suffix}", root / f"mer/datasets/readers/fresh.{suffix}")
        edit(root / f"mer/datasets/readers/fresh.{suffix}", "samm", "fresh")


PAIR = "    pair:\n      classes: [happiness, disgust]\n      source: nobody\n"
EDITS = {
    "a comment in the model's config": lambda root: edit(root / "mer/models/mol/config.py", "\n\n\n", "\n\n# word\n\n"),
    "a comment in another model's": lambda root: edit(root / "mer/models/fdp/config.py", "\n\n\n", "\n\n# word\n\n"),
    "another model's network": lambda root: edit(root / "mer/models/fdp/network.py", "\n\n\n", "\n\n# word\n\n"),
    "a new model": add_a_model,
    "a new release's reader": add_a_release,
    "an edit of a reader": lambda root: edit(root / "mer/datasets/readers/plain.py", "\n\n\n", "\n\n# word\n\n"),
    "a new label set": lambda root: edit(root / "mer/datasets/readers/plain.yaml", "    '5':\n", f"{PAIR}    '5':\n"),
}


@pytest.mark.parametrize("what", EDITS)
def test_no_label_is_made_again_for_what_it_does_not_read(refusing, what):
    EDITS[what](refusing)
    try:
        changed = json.loads(dvc(refusing, "status", "--json").out)
    finally:
        run(refusing, "git", "checkout", "--quiet", ".")
        run(refusing, "git", "clean", "--force", "--quiet", "-d", "mer")
    names = {name.split("@")[0] for name in changed}
    if what.startswith("a comment in another") or what.startswith("another"):
        assert names == set()
        return
    assert "check" in names  # it was seen
    if what in ("a new release's reader", "an edit of a reader", "a new label set"):
        assert names == {"check"}  # which hands on what the index of that release alone depends on
    assert names & {"synthesize", "landmarks", "landmarks-macro", "align", "align-macro", "flow", "flow-macro",
                    "dynamic", "dynamic-macro"} == set(), changed


def test_an_edit_of_a_reader_or_a_label_set_indexes_its_own_release_alone(project):
    readers = project / "mer/datasets/readers"
    edit(readers / "smic.py", "\n\n\n", "\n\n# word\n\n")
    done = dvc(project, "repro")
    assert done.code == 0 and done.ran == ["check"], done.tail()
    edit(readers / "plain.yaml", "source: this", "source: our")
    done = dvc(project, "repro", "index", "index-macro", "landmarks-macro")
    assert done.code == 0, done.tail()
    assert sorted(done.ran) == ["check", "index-macro@synthetic_macro", "index@synthetic"], done.tail()


def test_fdp_runs_on_the_same_faces(project):
    done = variant(project, "model=fdp")
    assert done.code == 0 and {"dynamic@synthetic", *TRAINING} <= set(done.ran), done.tail()
    metrics = results.read(project / "reports")
    assert metrics["mse"] > metrics["mse_pattern"] > 0 and metrics["mse_mean_image"] > metrics["mse_pattern_mean_image"]
    assert -1 <= metrics["rank_correlation"] <= 1
    assert "epe" not in metrics
    assert len(json.loads((project / "data/dynamic/synthetic/summary.json").read_text())["excluded"]) == 0


def test_a_small_learning_rate_is_a_number(project):
    done = dvc(project, "exp", "run", "-S", "lr=1e-5", "pretrain")
    assert done.code == 0 and done.ran == ["check", "pretrain"], done.tail()


@pytest.mark.parametrize(("setting", "stage", "message"), [
    ("lambda_f=abc", "check", "error: params.yaml: lambda_f = 'abc'; expected a number from 0 to 1e+06"),
    ("classes=9", "check", "error: classes: dataset synthetic has no label set '9'; it has 3, 5"),
    ("classes=5", "index@synthetic", "error: synthetic: class repression of set '5' has no clip; the labels are "
     "disgust, happiness, surprise: choose another set"),
    ("datasets=[]", "check", "error: params.yaml: datasets = []; expected a list without repetition"),
])
def test_a_value_that_makes_no_sense_is_refused_in_one_line(refusing, setting, stage, message):
    done = variant(refusing, setting)
    run(refusing, "git", "checkout", "--quiet", "params.yaml")
    assert done.code != 0 and done.ran[-1] == stage, done.tail()
    told = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(told) == 1 and told[0].startswith(message), done.tail()
    assert "Traceback" not in done.err, done.tail()


def bring_own(root, lost: str) -> list[str]:
    """Two of the synthetic release's classes as data/raw/mine, a frame of the clip `lost` cut off; the clip ids."""
    source, mine = root / "data/raw/synthetic", root / "data/raw/mine"
    with open(source / "clips.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] != "surprise"]
    for row in rows:
        shutil.copytree(source / row["frames"], mine / row["frames"])
    with open(mine / "clips.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    torn = mine / f"frames/{lost}/img5.jpg"
    torn.write_bytes(torn.read_bytes()[:2000])
    return [row["clip_id"] for row in rows]


def test_an_own_dataset_runs_and_its_unusable_clip_is_listed(project):
    clips = bring_own(project, lost="s02_disgust_1")
    done = variant(project, "datasets=[mine]", "classes=all", "pretrain.sources=[]")
    assert done.code == 0, done.tail()
    assert {"index@mine", "landmarks@mine", "align@mine", "flow@mine", "dynamic@mine", *TRAINING} <= set(done.ran)
    summary = json.loads((project / "data/folds/summary.json").read_text())
    assert summary["class_names"] == ["disgust", "happiness"] and summary["clips"] == len(clips) - 1
    with open(project / "reports/predictions.csv", encoding="utf-8", newline="") as file:
        assert {row["clip_id"] for row in csv.DictReader(file)} == set(clips) - {"s02_disgust_1"}
    page = (project / "reports/index.html").read_text(encoding="utf-8")
    listed = next(line for line in page.replace("<tr", "\n<tr").splitlines() if "s02_disgust_1" in line)
    assert "mine" in listed and "landmarks" in listed and "img5.jpg" in listed
    assert "landmarks: s02_disgust_1 is excluded: " in done.out
    commit(project, "my own dataset")
    assert dvc(project, "repro").ran == []

"""params.yaml: every error names the key, the value and what was expected."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mer import params
from mer.base.errors import MerError

ROOT = Path(__file__).parents[1]


def changed(tmp_path, **values) -> Path:
    """params.yaml with dotted keys replaced (`__` for the dot), as `-S` would do."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key, value in values.items():
        *parents, last = key.split("__")
        section = tree
        for parent in parents:
            section = section[parent]
        section[last] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def test_the_shipped_file_loads_in_both_profiles(tmp_path):
    demo = params.load(ROOT / "params.yaml")
    paper = params.load(changed(tmp_path, profile="paper"))
    assert demo.mol.width < 1 and demo.mol.input == "centred"
    assert paper.mol.width == 1 and paper.mol.input == "raw" and paper.flow.pairs == 0
    assert paper.mol.t == paper.sampling.t == 8


def test_a_value_in_a_section_overrides_the_profile(tmp_path):
    assert params.load(changed(tmp_path, train__steps=7, lr=0.5)).train.steps == 7
    assert params.load(changed(tmp_path, train__steps=7, lr=0.5)).lr == 0.5


def test_epochs_or_steps_of_a_section_put_both_of_the_profile_aside(tmp_path):
    for changes, wanted in (({"train__epochs": 5}, (None, 5)), ({"train__steps": 7}, (7, None)), ({}, (40, None))):
        train = params.load(changed(tmp_path, **changes)).train
        assert (train.steps, train.epochs) == wanted
    paper = {"model": "ma2mi", "profile": "paper", "sampling__t": 2}
    for changes, wanted in (({}, (None, 80)), ({"pretrain__steps": 0}, (0, None))):
        pretrain = params.load(changed(tmp_path, **paper, **changes)).pretrain
        assert (pretrain.steps, pretrain.epochs) == wanted
    assert params.load(changed(tmp_path, **paper, profiles__ma2mi__demo__train__epochs=3)).train.epochs == 80


def test_a_run_from_before_epochs_were_a_key_is_still_read(tmp_path):
    path = changed(tmp_path)
    tree = yaml.safe_load(path.read_text())
    del tree["train"]["epochs"], tree["pretrain"]["epochs"]
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    assert params.load(path).train.epochs is None and params.load(path).train.steps == 40


def test_exponents_without_a_dot_are_numbers(tmp_path):
    text = (ROOT / "params.yaml").read_text()
    path = tmp_path / "params.yaml"
    path.write_text(re.sub(r"^lr:", "lr: 1e-05", text, flags=re.M))
    assert params.load(path).lr == 1e-5


def test_a_number_names_a_label_set(tmp_path):
    assert params.load(changed(tmp_path, classes=3)).classes == "3"


def test_other_releases_and_rendered_faces_may_be_pretrained_on(tmp_path):
    path = changed(tmp_path, datasets=["casme3"], classes="7", pretrain__sources=["mmew_macro"], pretrain__classes="6")
    assert params.load(path).pretrain.sources == ("mmew_macro",)
    assert params.load(ROOT / "params.yaml").pretrain.sources == ("synthetic_macro",)


@pytest.mark.parametrize(("values", "message"), [
    ({"lambda_f": "abc"}, "lambda_f = 'abc'; expected a number from 0 to 1e+06"),
    ({"lambda_f": -1}, "lambda_f = -1"),
    ({"lambda_f": True}, "lambda_f = True; expected a number"),
    ({"lambda_f": float("nan")}, "lambda_f = nan"),
    ({"train__steps": 1.5}, "train.steps = 1.5; expected a whole number"),
    ({"train__steps": 3, "train__epochs": 2}, "params.yaml: train.steps = 3 and train.epochs = 2, with what "
     "profiles.mol.demo fills in; expected one of the two, the other null"),
    ({"profiles__mol__paper__train__steps": None, "profiles__mol__demo__train__steps": None},
     "train.steps = null and train.epochs = null, with what profiles.mol.demo fills in; expected one of the two"),
    ({"profiles__mol__demo__pretrain__epochs": 9}, "pretrain.steps = 240 and pretrain.epochs = 9, with what"),
    ({"pretrain__epochs": 0}, "pretrain.epochs = 0; expected a whole number from 1 to 1e+06 or null"),
    ({"train__batch": 0}, "train.batch = 0; expected a whole number from 1"),
    ({"seeds": []}, "seeds = []; expected a list without repetition"),
    ({"seeds": [0, 0]}, "seeds = [0, 0]; expected a list without repetition"),
    ({"seeds": 3}, "seeds = 3; expected a list"),
    ({"profile": "papers"}, "did you mean `paper`"),
    ({"model": "moll"}, "model = 'moll'; expected one of mol"),
    ({"datasets": ["synthetc"]}, "did you mean 'synthetic'"),
    ({"classes": "9"}, "has no label set '9'"),
    ({"datasets": ["synthetic"], "pretrain__sources": ["synthetic"], "pretrain__classes": "3"}, "is a leak"),
    ({"datasets": ["casme3"], "classes": "7", "pretrain__sources": ["casme3_macro"], "pretrain__classes": "7"},
     "casme3_macro shows the subjects that are tested, which is a leak"),
    ({"datasets": ["mmew"], "classes": "6", "pretrain__sources": ["mmew_macro"], "pretrain__classes": "6"},
     "mmew_macro shows the subjects"),
    ({"datasets": ["casme_sq_macro"], "classes": "4", "pretrain__sources": ["casme_sq"], "pretrain__classes": "4"},
     "casme_sq shows the subjects"),
    ({"datasets": ["casme_sq"], "classes": "4", "pretrain__sources": ["casme_sq_long"], "pretrain__classes": "4"},
     "casme_sq_long shows the subjects"),
    ({"datasets": ["casme_sq_long"], "classes": "4", "pretrain__sources": ["casme_sq_macro"],
      "pretrain__classes": "4"}, "casme_sq_macro shows the subjects"),
    ({"datasets": ["samm_long"], "classes": "3", "pretrain__sources": ["samm"], "pretrain__classes": "3"},
     "samm shows the subjects"),
    ({"datasets": ["samm", "smic", "samm_long"], "classes": "3", "protocol": "composite"},
     "samm and samm_long show the same people, who would be trained on and tested, which is a leak"),
    ({"selection": ["oracle", "last"]}, "may only stand beside it"),
    ({"selection": ["last", "oracle"], "train__eval_every": 0}, "train.eval_every = 0"),
    ({"mol__fcc": "fcv"}, "mol.fcc"),
    ({"mol__ccc": "off", "mol__fcc": "off"}, "mol.fcc"),
    ({"train__crop": 200}, "train.crop = 200; expected at most align.size = 144"),
    ({"mol__witdh": 1}, "unknown key `mol.witdh`; did you mean `width`"),
    ({"train": 5}, "train = 5; expected a section"),
    ({"profiles__mol__demo__train__stepz": 5}, "profiles.mol.demo.train.stepz"),
])
def test_every_error_names_key_value_and_expectation(tmp_path, values, message):
    with pytest.raises(MerError) as error:
        params.load(changed(tmp_path, **values))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_words_and_numbers_are_read_as_dvc_writes_them(tmp_path):
    text = (ROOT / "params.yaml").read_text()
    for before, after in (("ccc: paper", "ccc: off"), ("\nlr: ", "\nlr: 1e-05"),
                          ("shuffle_labels: false", "shuffle_labels: true")):
        assert before in text
        text = text.replace(before, after)
    (tmp_path / "params.yaml").write_text(text)
    p = params.load(tmp_path / "params.yaml")
    assert p.mol.ccc == "off" and p.lr == 1e-5 and p.shuffle_labels is True


def test_a_missing_key_and_a_doubled_key_are_told(tmp_path):
    text = (ROOT / "params.yaml").read_text()
    path = tmp_path / "params.yaml"
    path.write_text(re.sub(r"^lambda_r:.*\n", "", text, flags=re.M))
    with pytest.raises(MerError, match="`lambda_r` is missing; expected a number"):
        params.load(path)
    path.write_text(text + "\nlambda_m: 2\n")
    with pytest.raises(MerError, match="`lambda_m` stands twice"):
        params.load(path)


@pytest.mark.parametrize("stage", ["check", "quality", "latents", "pretrain", "train", "evaluate", "report"])
def test_every_stage_refuses_bad_parameters_with_one_line_and_exit_code_2(tmp_path, stage):
    changed(tmp_path, lambda_f="abc")
    run = command(tmp_path, stage)
    assert run.returncode == 2, run.stderr
    assert run.stderr.strip() == "error: params.yaml: lambda_f = 'abc'; expected a number from 0 to 1e+06"


@pytest.mark.parametrize(("stage", "values", "message"), [
    ("synthesize", {"synthetic__fps": 0}, "synthetic.fps = 0; expected a number from 1 to 10000"),
    ("index", {"index__images": "row"}, "index.images = 'row'; expected one of raw, cropped; did you mean `raw`?"),
    ("landmarks", {"landmarks__upsample_retry": 9},
     "landmarks.upsample_retry = 9; expected a whole number from 0 to 3"),
    ("align", {"align__size": 31}, "align.size = 31; expected a whole number from 32 to 512"),
    ("align", {"parallel__workers": "many"}, "parallel.workers = 'many'; expected a whole number from 0 to 4096"),
    ("align", {"profiles__mol__demo__align": {"size": 31}}, "align.size = 31; expected a whole number from 32 to 512"),
    ("align", {"profile": "papers"},
     "profile = 'papers'; expected one of demo, paper, released; did you mean `paper`?"),
    ("flow", {"flow__pairs": 65}, "flow.pairs = 65; expected a whole number from 0 to 64"),
    ("flow", {"model": "moll"}, f"model = 'moll'; expected one of {', '.join(params.CONFIGS)}; did you mean `mol`?"),
    ("dynamic", {"dynamic__coeffs": "axact"}, "dynamic.coeffs = 'axact'; expected one of exact, simple; did you mean "
                                              "`exact`?")])
def test_a_label_stage_refuses_what_it_reads_itself(tmp_path, stage, values, message):
    """Of the rest it knows nothing: `check` goes before it."""
    changed(tmp_path, **values)
    run = command(tmp_path, stage, *(["synthetic"] if stage != "synthesize" else []))
    assert run.returncode == 2, run.stderr
    assert run.stderr.strip() == f"error: params.yaml: {message}"


def command(folder, stage, *words):
    return subprocess.run([sys.executable, "-m", f"stages.{stage}", *words], cwd=folder,
                          env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, check=False)

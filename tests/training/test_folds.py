"""A fold depends on nothing but its own training clips: not on other folds, not on the tested subject, not on order."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pipeline import digests, write_params
from training import interrupted

from mer import params
from mer.base import store
from mer.base.errors import MerError
from mer.datasets.class_sets import LabelSet
from mer.datasets.clips import Clip, write_clips
from mer.evaluation import predictions, protocols
from mer.labels import records, sampling
from mer.training import engine, entries, folds
from mer.training import task as tasks
from mer.training.batches import Clips

T, SIDE = 3, 144
WORDS = ("happy", "cross", "amazed")
LABELS = LabelSet("own", "all", WORDS, {word: word for word in WORDS})
BUDGET = {"steps": 2, "batch": 3, "threads": 1, "checkpoint_every": 1}
FILES = ("log.csv", "model.pt", "outputs.h5", "predictions.csv")


def clip_rows() -> list[Clip]:
    return [Clip(f"{subject}_{word}", "own", "plain", f"own/{subject}", "frames", 1, 5, 1, 3, 5, 100.0, word, "", "")
            for subject in ("s01", "s02", "s03") for word in WORDS]


def aligned_record(seed: int) -> dict[str, np.ndarray]:
    """Five frames of a smooth random picture that moves, and 68 points around its middle."""
    rng = np.random.default_rng(seed)
    picture = np.kron(rng.integers(20, 236, (18, 18)), np.ones((8, 8)))
    frames = np.stack([np.roll(picture, k, axis=1) for k in range(5)]).astype(np.uint8)
    shape = 72 + 30 * rng.normal(size=(68, 2)).clip(-1.5, 1.5)
    return {"frames": frames, "points": (shape + rng.normal(0, 0.5, (5, 68, 2))).astype(np.float32),
            "numbers": np.arange(1, 6, dtype=np.int32), "annotation": np.array([1, 3, 5], np.int32)}


def write_stores(data, p, *, lost="s02_cross", other_subject: str | None = None) -> None:
    """The stores of nine clips, one of them (`lost`) excluded; `other_subject` gets other pictures and labels."""
    clips, aligned, flow = clip_rows(), {}, {}
    for i, clip in enumerate(clips):
        if clip.clip_id == lost:
            continue
        seed = i + 100 * (clip.subject == other_subject)
        record = aligned[clip.clip_id] = aligned_record(seed)
        t = p.sampling.t
        index = sampling.clip_sets(record["numbers"], record["annotation"], t=t, sets=1, span=p.sampling.span,
                                   seed_words=(p.sampling.seed, clip.clip_id))
        motion = np.random.default_rng(seed).normal(0, 1, (t - 1, 2, SIDE, SIDE)).astype(np.float16)
        flow[clip.clip_id] = {"index": index, "pair": np.array([(0, k) for k in range(t - 1)], np.int32),
                              "flow": motion}
    before = {"excluded": [{"clip_id": lost, "stage": "landmarks", "reason": "no face"}] if lost else [], "index": {}}
    for stage, made in (("aligned", aligned), ("flow", flow), ("dynamic", {})):
        records.write(data / stage / "own", stage, clips, made, attrs={}, summary={}, before=before)


@pytest.fixture(scope="module")
def p(tmp_path_factory) -> params.Params:
    path = tmp_path_factory.mktemp("knobs") / "params.yaml"
    write_params(path, {"sampling": {"t": T}, "mol": {"width": 0.03125, "k": 2}, "selection": ["last", "oracle"],
                        "pretrain": {"sources": [], **BUDGET},
                        "train": {**BUDGET, "eval_every": 1, "inner_subjects": 1}})
    return params.load(path)


@pytest.fixture(scope="module")
def stores(tmp_path_factory, p):
    folder = tmp_path_factory.mktemp("stores")
    write_stores(folder, p)
    return folder


def plan_of(p, data, scratch, pretrained=None, labels=LABELS) -> folds.Plan:
    clips, classes = entries.collect(data, {"own": labels})
    return folds.Plan(p, data, clips, classes, pretrained, scratch, "cpu")


def fold_of(plan, subject="own/s02") -> protocols.Fold:
    return next(fold for fold in folds.split(plan) if fold.name == subject)


def run(plan, seed=0, subject="own/s02"):
    """The folder of one fold, trained and tested."""
    folds.run_fold((plan, seed, fold_of(plan, subject)))
    return folds.folder(plan, seed, fold_of(plan, subject))


def test_a_task_that_reads_no_label_is_given_the_clips_of_no_class_too(p, stores):
    fewer = LabelSet("own", "two", WORDS[:2], {word: word for word in WORDS[:2]})
    few, classes = entries.collect(stores, {"own": fewer})
    every, again = entries.collect(stores, {"own": fewer}, unlabelled=True)
    assert (len(few), len(every)) == (5, 8) and classes == again == WORDS[:2]
    assert {e.clip.label_raw for e in every if e.label == entries.NO_CLASS} == {WORDS[2]}
    assert [e for e in every if e.label != entries.NO_CLASS] == list(few)
    none = LabelSet("own", "none", ("bored", "calm"), {})
    assert len(entries.collect(stores, {"own": none}, unlabelled=True)[0]) == 8
    with pytest.raises(MerError, match="class bored of set none has no clip"):
        entries.collect(stores, {"own": none})


def test_epochs_go_by_a_fold_s_own_clips_and_its_records_say_so(p, stores, tmp_path):
    """s02 has two clips, the others three: six to train on when it is tested, five when another one is."""
    by_epoch = replace(p, train=replace(p.train, steps=None, epochs=2, batch=3), selection=("last",))
    plan = plan_of(by_epoch, stores, tmp_path)
    lines = {subject: len((run(plan, subject=subject) / "log.csv").read_text().splitlines()) - 1
             for subject in ("own/s01", "own/s02")}
    assert lines == {"own/s01": 2, "own/s02": 4} and folds.steps(plan) == (2, 4)
    assert folds.steps(plan_of(p, stores, tmp_path)) == (2, 2)


@pytest.fixture(scope="module")
def alone(p, stores, tmp_path_factory):
    """The fold of s02, seed 0, run as the first and only one."""
    return run(plan_of(p, stores, tmp_path_factory.mktemp("alone")))


def test_a_fold_gives_the_same_bytes_alone_and_after_others(alone, p, stores, tmp_path):
    plan = plan_of(p, stores, tmp_path)
    after = [run(plan, subject=subject) for subject in ("own/s03", "own/s01", "own/s02")]
    assert {path.name for path in alone.iterdir()} == {*FILES, "gradients.csv"}  # no resume state is left
    assert list(digests(alone).values()) == list(digests(after[-1]).values())
    models = [(folder / "model.pt").read_bytes() for folder in after]
    assert len(set(models)) == 3
    assert [folds.is_done(plan, 0, fold) for fold in folds.split(plan)] == [True] * 3
    assert not folds.is_done(plan, 1, fold_of(plan))


def test_only_test_sets_of_one_training_set_are_named_in_the_summary(p, stores, tmp_path):
    plan = plan_of(p, stores, tmp_path)
    assert folds.parts(plan) == {}
    sets = {"own/s01": "train", "own/s02": "test1", "own/s03": "test2"}
    official = tuple(replace(e, clip=replace(e.clip, flags=sets[e.subject])) for e in plan.entries)
    plan = replace(plan, entries=official, params=replace(p, protocol="official"))
    assert folds.parts(plan) == {"parts": ["test1", "test2"]}


def test_the_tables_hold_each_test_clip_once_per_selection_and_its_estimates(alone):
    t = predictions.read(alone / "predictions.csv")
    assert sorted(zip(t.selection, t.clip_id, strict=True)) == [
        (rule, clip) for rule in ("last", "oracle") for clip in ("s02_amazed", "s02_happy")]
    assert set(t.fold) == {"own/s02"} and np.isfinite(t.where("last").aux["epe"]).all()
    outputs, _ = store.read_shard(alone / "outputs.h5")
    assert sorted(outputs) == ["s02_amazed", "s02_happy"]
    assert outputs["s02_happy"]["flow"].shape == (T - 1, 2, 128, 128)
    assert outputs["s02_happy"]["landmarks"].shape == (T - 1, 68, 2)
    steps = [line.split(",")[0] for line in (alone / "log.csv").read_text().splitlines()]
    assert steps == ["step", "1", "2"]


def test_another_seed_gives_another_network(alone, p, stores, tmp_path):
    other = run(plan_of(p, stores, tmp_path), seed=1)
    assert (other / "model.pt").read_bytes() != (alone / "model.pt").read_bytes()


def test_nothing_of_the_tested_subject_reaches_its_training(alone, p, stores, tmp_path):
    """New pictures, landmarks, flow and labels of s02: the same network to the byte, other predictions."""
    write_stores(tmp_path / "data", p, other_subject="own/s02")
    plan = plan_of(p, tmp_path / "data", tmp_path)
    turned = tuple(replace(e, label=(e.label + 1) % 3) if e.subject == "own/s02" else e for e in plan.entries)
    other = run(replace(plan, entries=turned))
    for name in ("model.pt", "log.csv"):
        assert (other / name).read_bytes() == (alone / name).read_bytes(), name
    ours, theirs = (predictions.read(folder / "predictions.csv").where("last") for folder in (alone, other))
    assert not np.allclose(ours.p, theirs.p) and (ours.label != theirs.label).all()
    # and the test is able to fail: a training subject's pictures do reach it
    write_stores(tmp_path / "data2", p, other_subject="own/s03")
    third = run(plan_of(p, tmp_path / "data2", tmp_path / "third"))
    assert (third / "model.pt").read_bytes() != (alone / "model.pt").read_bytes()


def test_frames_at_any_offset_come_again_after_a_restart_and_among_other_folds(p, stores, tmp_path, monkeypatch):
    """Without flow labels and with more sets than the midpoints' each step draws its frames anew."""
    free = replace(p, mol=replace(p.mol, tasks=("mer",)), sampling=replace(p.sampling, sets=2), selection=("last",))
    plan = plan_of(free, stores, tmp_path / "whole")
    assert folds.load_clips(plan).film is not None and folds.load_clips(plan).frames.shape[1] == 1
    whole = digests(run(plan))
    fixed = plan_of(replace(free, sampling=p.sampling), stores, tmp_path / "fixed")  # sets: 1, the midpoints alone
    assert folds.load_clips(fixed).film is None
    assert digests(run(fixed)) != whole
    cut = plan_of(free, stores, tmp_path / "cut")
    run(cut, subject="own/s03")
    with interrupted.at_the_first_checkpoint(monkeypatch):
        run(cut)
    assert digests(run(cut)) == whole


def test_inner_validation_subjects_are_not_trained_on(p, stores, tmp_path):
    """With one evaluation there is nothing to choose, so the validation subject's clips must not matter at all."""
    once = replace(p, selection=("inner",), train=replace(p.train, eval_every=2))
    held = protocols.inner_subjects(["own/s01", "own/s03"], 1, (0, "own/s02", "inner"))[0]
    chosen = []
    for data, changed in ((stores, None), (tmp_path / "held", held),
                          (tmp_path / "rest", {"own/s01": "own/s03", "own/s03": "own/s01"}[held])):
        if changed:
            write_stores(data, p, other_subject=changed)
        folder = run(plan_of(once, data, tmp_path / f"scratch-{changed}".replace("/", "_")))
        chosen.append(predictions.read(folder / "predictions.csv").where("inner").p)
    assert np.array_equal(chosen[0], chosen[1])
    assert not np.allclose(chosen[0], chosen[2])


def probabilities(rng, n) -> torch.Tensor:
    return torch.from_numpy(rng.dirichlet(np.ones(3), n)).float()


@pytest.mark.parametrize("case", range(6))
def test_oracle_is_the_best_evaluation_and_inner_the_likeliest(case, p, stores, tmp_path, monkeypatch):
    """Training is replaced by invented evaluations, so that many can be tried."""
    rng = np.random.default_rng(case)
    plan = plan_of(replace(p, selection=("inner", "oracle")), stores, tmp_path)
    fold = fold_of(plan)
    test = torch.tensor([plan.entries[i].label for i in fold.test])
    held = protocols.inner_subjects(["own/s01", "own/s03"], 1, (0, "own/s02", "inner"))[0]
    valid = torch.tensor([plan.entries[i].label for i in fold.train if plan.entries[i].subject == held])
    outer = [(step, [probabilities(rng, len(test))]) for step in (1, 2, 3, 4, 5)]
    inner = [(step, [probabilities(rng, len(valid)), probabilities(rng, len(test))]) for step in (1, 2, 3, 4, 5)]
    logs = [{"step": 1, "total": 0.5}]
    monkeypatch.setattr(engine, "train", lambda *_, desc, **__: (logs, inner if "(inner)" in desc else outer))
    table = predictions.read(run(plan) / "predictions.csv")
    order = np.argsort([plan.entries[i].clip.clip_id for i in fold.test])

    def hits(values: torch.Tensor) -> int:
        return int((values.argmax(dim=1) == test).sum())

    best = max(hits(values) for _, (values,) in outer)
    first = next(values for _, (values,) in outer if hits(values) == best)  # of equals the earliest step
    assert np.allclose(table.where("oracle").p, first.numpy()[order], atol=1e-6)
    likely = [torch.log(values[range(len(valid)), valid]).mean().item() for _, (values, _) in inner]
    assert np.allclose(table.where("inner").p, inner[int(np.argmax(likely))][1][1].numpy()[order], atol=1e-6)


def test_shuffling_permutes_the_training_labels_among_themselves():
    label = torch.arange(20) % 3
    clips = Clips((None,) * 20, torch.zeros(20, 1), torch.zeros(20, 1), None, None, label)
    rows = torch.arange(3, 17)
    made = [folds.shuffled(clips, rows, seed).label for seed in (1, 1, 2)]
    outside = [i for i in range(20) if i not in rows.tolist()]
    for new in made:
        assert new[rows].bincount().tolist() == label[rows].bincount().tolist()
        assert new[outside].tolist() == label[outside].tolist()
        assert new.tolist() != label.tolist()
    assert made[0].tolist() == made[1].tolist() != made[2].tolist()
    assert clips.label.tolist() == label.tolist()


def test_clips_are_counted_and_what_is_left_out_is_told(stores, capsys):
    two = LabelSet("own", "two", ("good", "bad"), {"happy": "good", "cross": "bad"})
    clips, classes = entries.collect(stores, {"own": two})
    assert classes == ("good", "bad")
    assert [(e.clip.clip_id, e.label) for e in clips] == [
        ("s01_happy", 0), ("s01_cross", 1), ("s02_happy", 0), ("s03_happy", 0), ("s03_cross", 1)]
    assert capsys.readouterr().err == ("own: 3 clips are in no class of set two; 1 clips of it could not be labelled: "
                                       "s02_cross\n")
    everything, _ = entries.collect(stores, {"own": LABELS})
    assert len(everything) == 8 and "0 clips are in no class" in capsys.readouterr().err


def test_a_class_without_a_clip_is_refused(stores):
    labels = LabelSet("own", "four", (*WORDS, "sad"), {word: word for word in (*WORDS, "sad")})
    with pytest.raises(MerError, match="class sad of set four has no clip in own"):
        entries.collect(stores, {"own": labels})
    with pytest.raises(MerError, match="different classes.*own: happy, cross, amazed; more: happy"):
        entries.collect(stores, {"own": LABELS, "more": LabelSet("more", "all", ("happy",), {"happy": "happy"})})


def test_pretraining_on_tested_people_is_refused(tmp_path):
    def release(name: str, *people: str, flags: str = "") -> None:
        rows = [Clip(f"{name}_{i}", name, "plain", f"{name}/{person}", "frames", 1, 5, 1, 3, 5, 100.0, "happy", "",
                     flags)
                for i, person in enumerate(people)]
        write_clips(tmp_path / "aligned" / name / "clips.csv", rows)

    for name, people in {"lab": ("ann", "bob"), "lab_macro": ("cem", "bob"), "other": ("ann", "bob")}.items():
        release(name, *people)
    with pytest.raises(MerError, match=r"'lab_macro'\] shows 1 of the people who are tested \(lab/bob\), which"):
        entries.refuse_known_faces(tmp_path, ("other", "lab_macro"), ("lab",))
    entries.refuse_known_faces(tmp_path, ("other",), ("lab",))  # another laboratory's ann
    release("lab_macro", "cem", "dan")
    entries.refuse_known_faces(tmp_path, ("lab_macro",), ("lab",))
    release("lab_macro", "ann", flags="whole;subject_unknown")
    entries.refuse_known_faces(tmp_path, ("lab_macro",), ("lab",))


def test_source_classes_belong_to_the_target_class_their_label_maps_to():
    source = LabelSet("macro", "7", ("anger", "happiness", "surprise", "sadness"), {})
    merged = LabelSet("own", "3", ("negative", "positive", "surprise", "others"),
                      {"anger": "negative", "sadness": "negative", "happiness": "positive", "surprise": "surprise"})
    assert entries.groups(source, merged) == [[0, 3], [1], [2], []]


def test_zero_shot_sums_the_pretrained_networks_classes_by_name(p, stores, tmp_path):
    p = replace(p, pretrain=replace(p.pretrain, sources=("macro",), steps=1))
    plan = plan_of(p, stores, tmp_path / "scratch", pretrained=tmp_path / "pretrained")
    names = ("amazed", "sad", "happy", "cross")
    torch.manual_seed(3)
    model = tasks.task(p).build(len(names))
    folds.save_model(tmp_path / "pretrained/0/model.pt", model, names)
    groups = [[2, 1], [], [0]]  # of happy, cross, amazed
    table = folds.zero_shot(plan, groups, 0)
    own = folds.probabilities(plan, model, folds.load_clips(plan), torch.arange(8)).double().numpy()
    expected = np.stack([own[:, 2] + own[:, 1], np.zeros(8), own[:, 0]], axis=1)
    assert np.allclose(table.p, expected / expected.sum(axis=1, keepdims=True), atol=1e-6)
    assert set(table.selection) == {"zero_shot"} and list(table.clip_id) == [e.clip.clip_id for e in plan.entries]
    assert np.allclose(folds.zero_shot(plan, [[], [], []], 0).p, 1 / 3)  # no class in common: no preference


def test_a_pretrained_network_is_where_a_fold_starts(alone, p, stores, tmp_path):
    """Without a step of training a fold is the pretrained network but for its own subjects' input statistics."""
    still = replace(p, selection=("last",), train=replace(p.train, steps=0))
    torch.manual_seed(3)
    model = tasks.task(p).build(3)
    folds.save_model(tmp_path / "pretrained/0/model.pt", model, WORDS)
    made = run(plan_of(still, stores, tmp_path / "scratch", pretrained=tmp_path / "pretrained"))
    state = torch.load(made / "model.pt", weights_only=True)["model"]
    statistics = {"pixel_mean", "pixel_sd", "residual_sd"}
    differ = {name for name, value in model.state_dict().items() if not torch.equal(value, state[name])}
    assert differ <= statistics and differ
    assert state.keys() == model.state_dict().keys()

"""params.yaml: the right-hand comment of every key begins with its range or its choices, as its knob has them."""

import dataclasses
import re
import typing
from pathlib import Path

import pytest

from mer import params
from mer.base.knobs import read_yaml

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8").partition("\nprofiles:")[0]


def comments(text: str) -> dict[str, str]:
    """{dotted key: its comment, with the lines below that go on; of a list the lines above}, '' where there is none."""
    found, section, last, above = {}, "", None, []
    lines = text.splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if key := re.match(r"( *)(\w+):([^#]*?)(?:(?<=\s)# (.*))?$", line):
            section = section if key[1] else f"{key[2]}." if re.match(r"  [\w#]", below) else ""
            last = f"{section if key[1] else ''}{key[2]}"
            found[last] = key[4] or " ".join(above)
        elif more := re.match(r" {0,2}# (.*)", line):
            above.append(more[1])
            continue
        elif last and (more := re.match(r" +# (.*)", line)):
            found[last] += f" {more[1]}"
        above = []
    return found


def fields(kind: type, before: str = "", shared: tuple = ()) -> dict[str, dict]:
    """{dotted key: what its knob says}, `many` being whether it is a list."""
    hints, found = typing.get_type_hints(kind), {}
    for f in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[f.name]):
            other = tuple(getattr(params.CONFIGS.get(f.name), "SHARED", ()))
            found |= fields(hints[f.name], f"{before}{f.name}.", other)
        elif f.name not in shared:
            found[f"{before}{f.name}"] = {**f.metadata, "many": typing.get_origin(hints[f.name]) is tuple}
    return found


def number(value: float) -> str:
    power = f"{value:.0e}".replace("e+0", "e")
    return "2^31" if value == 2**31 else power if value >= 1e6 else f"{value:g}"


def span(knob: dict) -> str:
    """1..9: both ends are in; 0..<1: the last is not; '' where anything goes."""
    low, high, above, below = (knob.get(name) for name in ("low", "high", "above", "below"))
    if low is None:
        return "" if above is None else f"> {number(above)}"
    if high is None and below is None:
        return f">= {number(low)}"
    return f"{number(low)}..{number(high) if below is None else f'<{number(below)}'}"


def wrong(comment: str, knob: dict) -> str:
    """What a comment says of a knob that is not so, '' = nothing."""
    many = ("" if not knob.get("length") else f"{knob['length']} numbers, ") + "each " if knob["many"] else ""
    if knob.get("choices"):
        words = [part.split()[0].strip("':,;") for part in comment.removeprefix(many).split(" | ") if part.split()]
        return "" if comment.startswith(many) and words == list(map(str, knob["choices"])) else \
            f"expected to begin with {many}{' | '.join(map(str, knob['choices']))}"
    wanted = many + span(knob) if span(knob) else ""
    if wanted:
        return "" if re.match(rf"{re.escape(wanted)}($|[ ;:,])", comment) else f"expected to begin with {wanted}"
    return "names a range or choices, and has none" if " | " in comment or re.match(r"[\d>]\S*\.\.|>", comment) else ""


def differences(told: dict[str, str], known: dict[str, dict]) -> list[str]:
    return [f"{key}: {comment!r}: {why}" for key, comment in told.items() if key in known
            and (why := wrong(comment, known[key]))]


LAYOUT = "run `dvc exp run -S model=mol check`, which writes params.yaml as DVC does, and commit that"
KNOBS = fields(params.Params)


def test_every_key_has_a_knob_and_every_knob_a_key():
    sections = {key.split(".")[0] for key in KNOBS if "." in key}
    assert set(comments(TEXT)) - sections == set(KNOBS)
    for key, knob in KNOBS.items():
        assert "choices" in knob, f"{key} is no knob()"


def test_the_comments_name_ranges_and_choices_truly():
    assert differences(comments(TEXT), KNOBS) == []


@pytest.mark.parametrize(("key", "change"), [
    ("mol.fcc", {"choices": ("fcc", "fcc_v", "fcc_h", "transformer", "release", "off", "fcc_d")}),
    ("model", {"choices": ("mol", "fdp")}), ("synthetic.classes", {"choices": ("happiness",)}),
    ("train.steps", {"high": 10**6}), ("fdp.width", {"above": 1}), ("ma2mi.translation", {"below": 2}),
    ("mol.dropout", {"below": None, "high": 1}), ("fdp.n_local", {"length": 3}), ("classes", {"choices": ("3", "5")}),
    ("synthetic.width", {"low": None, "high": None})])
def test_a_knob_that_changes_without_its_comment_is_seen(key, change):
    changed = KNOBS | {key: {**KNOBS[key], **change}}
    assert [line.split(":")[0] for line in differences(comments(TEXT), changed)] == [key]


def test_a_comment_goes_on_below():
    assert comments("a: 1  # one | two:\n       # of these | three\nb:\n  c: 2  # x") == {
        "a": "one | two: of these | three", "b": "", "b.c": "x"}


def test_dvc_changes_no_line_but_those_of_the_values_that_it_sets(tmp_path):
    """The file has the layout that DVC writes, a null being nothing: else `-S` of three values changes 200 lines."""
    from dvc.utils.hydra import apply_overrides  # what `dvc exp run -S` calls

    before, path = (ROOT / "params.yaml").read_text(encoding="utf-8"), tmp_path / "params.yaml"
    path.write_text(before, encoding="utf-8")
    apply_overrides(path, ["lambda_f=0", "model=fdp", "train.steps=80"])
    after = path.read_text(encoding="utf-8").splitlines()
    changed = [new.split("#")[0].strip() for old, new in zip(before.splitlines(), after, strict=True) if old != new]
    assert changed == ["model: fdp", "lambda_f: 0", "steps: 80"], LAYOUT
    apply_overrides(path, ["lambda_f=null", "model=mol", "train.steps=null"])
    assert path.read_text(encoding="utf-8") == before, LAYOUT
    for key in (key for key, knob in KNOBS.items() if knob["many"] and knob.get("empty") is not False):
        path.write_text(before, encoding="utf-8")  # ruamel breaks what follows a list with a comment beside its key
        apply_overrides(path, [f"{key}=[]"])
        assert read_yaml(path)["train"]["device"] == "auto", key

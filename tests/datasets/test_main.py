import shutil
import sys

import pytest
import yaml
from raw_releases import casme, dfme, fourdme, macro, micro, mmme, samm_long
from raw_releases.plain import row, write_plain

from mer.base.errors import MerError
from mer.datasets import __main__ as command

WRITERS = {
    "casme2": micro.write_casme2, "samm": micro.write_samm, "smic": micro.write_smic, "casme_sq": micro.write_casme_sq,
    "casme3": micro.write_casme3, "mmew": micro.write_mmew, "affwild2": macro.write_affwild2, "dfew": macro.write_dfew,
    "ferv39k": macro.write_ferv39k, "afew": macro.write_afew, "dfme": dfme.write_dfme,
    "casme": casme.write_casme, "fourdme": fourdme.write_fourdme, "mmme": mmme.write_mmme,
    "samm_long": samm_long.write_samm_long}


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["mer.datasets", "check", *map(str, arguments)])
    command.run()
    return capsys.readouterr().out


@pytest.mark.parametrize("dataset", WRITERS)
def test_every_release_is_recognised_in_a_folder_of_any_name(monkeypatch, capsys, tmp_path, dataset):
    WRITERS[dataset](tmp_path / "unpacked")
    out = run(monkeypatch, capsys, tmp_path / "unpacked")
    assert out.startswith(f"{dataset}, release ")
    advice = yaml.safe_load(out.split("params.yaml:\n")[1])
    assert (advice.get("datasets") or advice["pretrain"]["sources"]) == [dataset]
    firm = dataset not in ("affwild2", "afew", "casme", "fourdme", "mmme")  # these have no counts that stop the run
    assert advice.get("index", {}).get("accept_counts", False) is firm


def test_it_says_what_else_is_there(monkeypatch, capsys, tmp_path):
    micro.write_smic(tmp_path)
    micro.write_smic_long(tmp_path)
    out = run(monkeypatch, capsys, tmp_path)
    assert "release hs:" in out
    for text in ("release hs, cropped images", "release vis, raw images", "release hs_long"):
        assert text in out
    out = run(monkeypatch, capsys, tmp_path, "--variant", "vis", "--images", "cropped")
    assert "release vis:" in out and "also readable" not in out


def test_cropped_only_gives_the_setting_that_reads_it(monkeypatch, capsys, tmp_path):
    micro.casme2_book(tmp_path)
    micro.casme2_frames(tmp_path, raw="trash")
    shutil.rmtree(tmp_path / "trash")
    out = run(monkeypatch, capsys, tmp_path)
    assert out.startswith("not read by the defaults: ") and "cropped looks alike" in out.splitlines()[0]
    assert yaml.safe_load(out.split("params.yaml:\n")[1])["index"]["images"] == "cropped"


def test_a_dataset_of_ones_own(monkeypatch, capsys, tmp_path):
    write_plain(tmp_path / "mine", [row(), row("c2", label="fear")])
    out = run(monkeypatch, capsys, tmp_path / "mine")
    assert yaml.safe_load(out.split("params.yaml:\n")[1]) == {"datasets": ["mine"], "classes": "all"}


def test_what_is_not_recognised(monkeypatch, capsys, tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(MerError, match="no known release"):
        run(monkeypatch, capsys, tmp_path / "a")
    with pytest.raises(MerError, match="is no folder"):
        run(monkeypatch, capsys, tmp_path / "b")
    (tmp_path / "a/4_setups").mkdir()
    (tmp_path / "a/rawpic").mkdir()
    with pytest.raises(MerError, match="looks like casme_sq and ferv39k at once"):
        run(monkeypatch, capsys, tmp_path / "a")
    (tmp_path / "a/2_ClipsforFaceCrop").mkdir()
    with pytest.raises(MerError, match="looks like casme_sq and ferv39k at once"):
        run(monkeypatch, capsys, tmp_path / "a")
    with pytest.raises(MerError, match="code_final"):
        run(monkeypatch, capsys, tmp_path / "a", "--dataset", "casme_sq")
    with pytest.raises(MerError, match="did you mean 'casme2'"):
        run(monkeypatch, capsys, tmp_path / "a", "--dataset", "casme_2")

"""What disks, downloads and operating systems do to a release: a line that names it, never a traceback."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from raw_releases import casme3_macro, macro, micro

from mer.base.errors import MerError
from mer.datasets import __main__ as command
from mer.datasets import tree
from mer.datasets.clips import numbered_frames
from mer.datasets.index import build_index
from mer.datasets.releases import read

ROOT = Path(__file__).parents[2]
TRAIN = "6th ABAW Annotations/EXPR_Recognition_Challenge/Train_Set"


def check(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["mer.datasets", "check", *map(str, words)])
    command.run()
    return capsys.readouterr().out


@pytest.mark.parametrize("content", [b"\x00\x05\x16\x07\xff", b"Mac OS X", b""])
def test_dot_files_are_no_annotation(tmp_path, content):
    macro.write_affwild2(tmp_path)
    whole = read("affwild2", tmp_path)
    (tmp_path / TRAIN / "._12-30-1920x1080.txt").write_bytes(content)
    assert read("affwild2", tmp_path) == whole and whole.release == "8"


@pytest.mark.parametrize(("content", "message"), [
    (b"Neutral\xff\n0\n", "cannot be read as UTF-8 text"), (b"", "line 1 names 0 classes"),
    (b"readme\n", "line 1 names 1 classes")])
def test_a_damaged_annotation_of_affwild2_is_named(tmp_path, content, message):
    macro.write_affwild2(tmp_path)
    (tmp_path / TRAIN / "000.txt").write_bytes(content)
    with pytest.raises(MerError, match=rf"000\.txt.*{message}"):
        read("affwild2", tmp_path)


def test_a_bad_byte_in_a_list_is_named(tmp_path):
    macro.write_ferv39k(tmp_path)
    path = tmp_path / "4_setups/All_scenes/train_All.csv"
    path.write_bytes(path.read_bytes() + b"Action/Sad/\xff Sad\n")
    with pytest.raises(MerError, match=r"train_All\.csv cannot be read as UTF-8"):
        read("ferv39k", tmp_path)


@pytest.fixture
def locked(monkeypatch):
    """A way to make a folder unreadable, also for root, whom no permission stops."""
    def lock(folder):
        for name in ("scandir", "listdir"):
            real = getattr(os, name)

            def refuse(path=".", real=real):
                if Path(path) == folder:
                    raise PermissionError(13, "Permission denied", str(path))
                return real(path)

            monkeypatch.setattr(os, name, refuse)
    return lock


@pytest.mark.parametrize("name", ["lost+found", "$RECYCLE.BIN", "System Volume Information"])
def test_an_unreadable_folder_of_the_disk_is_passed_over(tmp_path, locked, monkeypatch, capsys, name):
    micro.write_casme2(tmp_path)
    (tmp_path / name).mkdir()
    locked(tmp_path / name)
    assert check(monkeypatch, capsys, tmp_path).startswith("casme2, release 2019: 8 clips")


@pytest.mark.parametrize(("writer", "place"), [
    (micro.write_casme2, "CASME2-RAW/CASME2-RAW/sub01"), (micro.write_casme2, "CASME2-RAW/CASME2-RAW/sub01/EP01_2"),
    (micro.write_mmew, "Macro_Expression/S01")])
def test_an_unreadable_folder_of_the_release_is_named(tmp_path, locked, monkeypatch, capsys, writer, place):
    writer(tmp_path)
    locked(tmp_path / place)
    dataset = "mmew_macro" if writer is micro.write_mmew else "casme2"
    with pytest.raises(MerError, match=f"{place} cannot be read: Permission denied"):
        check(monkeypatch, capsys, tmp_path, "--dataset", dataset, "--images", "raw")


def test_frames_of_an_unreadable_folder(tmp_path, locked):
    locked(tmp_path)
    with pytest.raises(MerError, match="cannot be read: Permission denied"):
        numbered_frames(tmp_path)


def test_a_closed_pipe_ends_a_command_quietly(tmp_path):
    micro.write_casme2(tmp_path)
    words = [sys.executable, "-m", "mer.datasets", "check", str(tmp_path)]
    for unbuffered in ("", "1"):
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, "PYTHONUNBUFFERED": unbuffered}) as process:
            process.stdout.close()  # as `| head -0` does
            assert (process.stderr.read(), process.wait()) == (b"", 141)


@pytest.mark.parametrize(("name", "dataset"), [("CASME2-RAW.zip", "casme2"), ("MMEW.rar", "mmew"),
                                          ("Clip/clip_224x224.zip", "dfew"), ("SMIC_all_raw.7z", "smic"),
                                          ("2_ClipsforFaceCrop.zip", "ferv39k"), ("Train_AFEW.zip", "afew"),
                                          ("cropped_aligned.zip", "affwild2"), ("rawpic.zip", "casme_sq"),
                                          ("SAMM.zip", "samm"), ("spNO.1.zip", "casme3")])
def test_an_archive_that_is_still_packed_is_named(tmp_path, name, dataset):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(MerError, match=f"packed archives \\({name.split('/')[-1]}\\): unpack them"):
        read(dataset, tmp_path)


def test_frames_still_packed_beside_their_table(tmp_path):
    micro.casme2_book(tmp_path)
    (tmp_path / "CASME2-RAW.zip").write_bytes(b"PK")
    with pytest.raises(MerError, match=r"layout CASME2-RAW/sub01.*packed archives \(CASME2-RAW.zip\)"):
        read("casme2", tmp_path)


def test_a_table_of_another_name_is_named(tmp_path):
    micro.write_samm(tmp_path)
    (tmp_path / "SAMM_Micro_FACS_Codes_v2.xlsx").rename(tmp_path / "my samm labels.xlsx")
    with pytest.raises(MerError, match="if it is my samm labels.xlsx, give it that name"):
        read("samm", tmp_path)


@pytest.mark.parametrize(("name", "write", "table", "options"), [
    ("casme3", casme3_macro.book, "cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx", {}),
    ("casme3", micro.write_casme3, "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", {"variant": "a_v1"}),
    ("casme3_macro", micro.write_casme3, "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", {}),
    ("casme2", lambda root: micro.write_book(root / "CASME2-ObjectiveClasses.xlsx", {"Sheet1": [["Subject"]]}),
     "CASME2-ObjectiveClasses.xlsx", {}),
    ("samm", lambda root: micro.write_book(root / "SAMM_LongVideos_V3_Release.xlsx", {"Sheet1": [["Subject"]]}),
     "SAMM_LongVideos_V3_Release.xlsx", {})])
def test_a_table_of_something_else_is_not_to_be_renamed(tmp_path, name, write, table, options):
    write(tmp_path)
    for other in tmp_path.rglob("CAS(ME)3_part_A_v2.xls"):
        other.unlink()
    with pytest.raises(MerError, match=f"not found.*; {re.escape(table)} is another table of the release") as error:
        read(name, tmp_path, **options)
    assert "give it that name" not in str(error.value)


@pytest.mark.parametrize(("dataset", "writer", "old", "new"), [
    ("samm", micro.write_samm, "SAMM_Micro_FACS_Codes_v2.xlsx", "SAMM.xlsx"),
    ("casme_sq", micro.write_casme_sq, "CAS(ME)^2code_final(Updated).xlsx", "code_final.xlsx"),
    ("casme_sq", micro.write_casme_sq, "CAS(ME)^2code_final(Updated).xlsx", "CASME2code_final.xlsx")])
def test_tables_under_names_that_people_give_them(tmp_path, dataset, writer, old, new):
    writer(tmp_path)
    (tmp_path / old).rename(tmp_path / new)
    assert command.guess(tmp_path) == dataset
    assert read(dataset, tmp_path).tables == (new,)


def test_missing_subjects_are_named(tmp_path):
    micro.write_casme2(tmp_path)
    shutil.rmtree(tmp_path / "CASME2-RAW/CASME2-RAW/sub03")
    with pytest.raises(MerError, match="nothing is left of 1 subjects: sub03"):
        build_index("casme2", tmp_path)


def test_videos_of_smic_and_a_missing_emotion_level(tmp_path):
    for name in ("HS/s1/micro/s1_ne_01", "HS/s1/micro/negative"):
        (tmp_path / "SMIC_all_raw" / name).mkdir(parents=True)
    (tmp_path / "SMIC_all_raw/HS/s1/micro/negative/s1_ne_01.avi").write_bytes(b"RIFF")
    (tmp_path / "SMIC_all_raw/HS/s1/micro/s1_ne_01").rmdir()
    with pytest.raises(MerError, match=r"micro/negative/s1_ne_01/image1.bmp.*videos \(s1_ne_01.avi\)"):
        read("smic", tmp_path)
    shutil.rmtree(tmp_path / "SMIC_all_raw")
    micro.write_smic(tmp_path)
    whole = len(read("smic", tmp_path).clips)
    for subject in (tmp_path / "SMIC_all_raw/HS").iterdir():
        for level in list((subject / "micro").iterdir()):
            for clip in list(level.iterdir()):
                clip.rename(subject / "micro" / clip.name)
            level.rmdir()
    assert len(read("smic", tmp_path).clips) == whole


def test_a_missing_list_or_split_is_noted(tmp_path):
    macro.write_ferv39k(tmp_path / "f")
    (tmp_path / "f/4_setups/All_scenes/test_All.csv").unlink()
    assert "test_All.csv is missing; its clips are not read" in read("ferv39k", tmp_path / "f").notes
    with pytest.raises(MerError, match="test_All.csv is missing"):
        build_index("ferv39k", tmp_path / "f")
    macro.write_dfew(tmp_path / "d")
    shutil.rmtree(tmp_path / "d/EmoLabel_DataSplit/test(single-labeled)")
    assert ("split files are missing: test set_1, test set_2, test set_3, test set_4, test set_5"
            in read("dfew", tmp_path / "d").notes)


def test_videos_without_crops_are_counted(tmp_path):
    macro.write_affwild2(tmp_path)
    assert "1 of the annotation's 4 videos have no crops: no_crops" in read("affwild2", tmp_path).notes


def test_the_advice_is_a_set_with_published_counts(tmp_path, monkeypatch, capsys):
    micro.write_casme3_c(tmp_path)
    out = check(monkeypatch, capsys, tmp_path, "--variant", "c", "--dataset", "casme3")
    assert yaml.safe_load(out.split("params.yaml:\n")[1])["classes"] == "4"


def test_a_repeated_expression_of_smic_is_one_clip(tmp_path):
    micro.write_smic_long(tmp_path)
    book = tmp_path / "SMIC-E_raw image/HS_long/SMIC-HS-E_annotation_2019.xlsx"
    row = [3, "s03_sur_02", None, 205, 210, 212, 216, 212, 216, None, 200, 220]
    micro.write_book(book, {"Sheet1": [micro.SMIC_LONG_HEADER, row]})
    reading = read("smic", tmp_path, variant="hs_long")
    assert [clip.clip_id for clip in reading.clips] == ["s03_sur_02", "s03_sur_02_2"]
    assert any("repeats an expression of s03_sur_02" in note for note in reading.notes)


def test_a_long_set_is_told_of_once(tmp_path, monkeypatch, capsys):
    micro.write_smic_long(tmp_path)
    out = check(monkeypatch, capsys, tmp_path, "--dataset", "smic")
    assert "also readable" not in out  # not as cropped images too, which it has none of
    # clips are published, expressions are counted: no difference is shown
    assert [line.split()[2:] for line in out.splitlines() if line.startswith("3 ")][-2:] == [["6", "-"], ["3", "-"]]


def test_a_folder_of_packed_archives_alone_is_told(tmp_path):
    (tmp_path / "part1.zip").write_bytes(b"PK")
    with pytest.raises(MerError, match=r"no known release.*packed archives \(part1.zip\): unpack them"):
        command.guess(tmp_path)


def test_instead_says_nothing_where_nothing_is(tmp_path):
    assert tree.instead(tmp_path) == ""

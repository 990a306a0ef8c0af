import shutil

import pytest
from raw_releases import micro

from mer.base.errors import MerError
from mer.datasets.clips import frame_files
from mer.datasets.releases import read


@pytest.fixture
def root(tmp_path):
    micro.write_smic(tmp_path)
    return tmp_path


def clips_of(root, **options):
    return {clip.clip_id: clip for clip in read("smic", root, **options).clips}


@pytest.mark.parametrize(("variant", "fps", "length"), [("hs", 100.0, 8), ("vis", 25.0, 5), ("nir", 25.0, 5)])
def test_the_short_sets(root, variant, fps, length):
    reading = read("smic", root, variant=variant)
    clips = clips_of(root, variant=variant)
    # non_micro folders are no clips; names are padded as MEGC2019 writes them
    assert set(clips) == {"s01_ne_01", "s01_po_01", "s03_sur_02", "s20_ne_11"}
    clip = clips["s20_ne_11"]
    assert (clip.subject, clip.label_raw, clip.apex, clip.flags) == ("smic/s20", "negative", None, "no_apex")
    assert (clip.onset, clip.first) == (17763111, 17763111)
    assert (clip.fps, len(frame_files(root, clip)), reading.release, reading.tables) == (fps, length, variant, ())
    assert f"SMIC_all_raw/{variant.upper()}/" in clip.frames_dir


def test_numbers_past_the_padding_are_sorted(root):
    numbers = [number for number, _ in frame_files(root, clips_of(root, variant="vis")["s01_po_01"])]
    assert numbers == [9998, 9999, 10000, 10001, 10002]
    assert clips_of(root, variant="vis")["s03_sur_02"].first == 12  # '00012.bmp', no prefix


def test_cropped_images(root):
    assert all(clip.frames_dir.startswith("SMIC_all_cropped/HS/") for clip in clips_of(root, images="cropped").values())


def test_name_and_folder_must_agree(root):
    folder = root / "SMIC_all_raw/HS/s1/micro"
    (folder / "negative/s1_ne_01").rename(folder / "positive/s1_ne_01")
    with pytest.raises(MerError, match="name says negative, the folder positive"):
        read("smic", root)


def test_a_missing_set(root):
    shutil.rmtree(root / "SMIC_all_raw/NIR")
    with pytest.raises(MerError, match="SMIC_all_raw/NIR/s1/micro"):
        read("smic", root, variant="nir")
    with pytest.raises(MerError, match="index.smic = 'uv'"):
        read("smic", root, variant="uv")


@pytest.mark.parametrize(("camera", "name"), [
    ("HS", "SMIC-HS-E_annotation_2019.xlsx"), ("VIS", "SMIC_VIS_E_annotation.xlsx"),
    ("NIR", "SMIC-NIR-E_annotation.xlsx")])
def test_the_long_sets(root, camera, name):
    micro.write_smic_long(root, camera=camera, name=name)
    reading = read("smic", root, variant=f"{camera.lower()}_long")
    clips = {clip.clip_id: clip for clip in reading.clips}
    assert set(clips) == {"s01_ne_01", "s03_sur_02", "s03_sur_02_2", "s20_po_11", "s20_po_11_2", "s20_po_11_3"}
    clip = clips["s20_po_11_3"]
    assert (clip.onset, clip.offset, clip.first, clip.last, clip.label_raw) == (316, 319, 316, 319, "positive")
    assert clips["s03_sur_02"].frames_dir.endswith("s03/s3_sur_02")  # not padded on disk
    assert [row.clip_id for row in reading.excluded] == ["s20_ne_12"]
    assert any("2 rows" in note for note in reading.notes)  # the text below the data
    # the short set beside it is not disturbed
    assert len(clips_of(root, variant="hs")) == 4


def test_a_long_set_without_its_table_or_frames(root):
    with pytest.raises(MerError, match="SMIC-HS-E_annotation.xlsx"):
        read("smic", root, variant="hs_long")
    micro.write_smic_long(root)
    shutil.rmtree(root / "SMIC_all_raw")
    shutil.rmtree(root / "SMIC_all_cropped")
    with pytest.raises(MerError, match="SMIC_all_raw/HS"):  # the long clips are not taken for short ones
        read("smic", root, variant="hs")
    shutil.rmtree(root / "SMIC-E_raw image/HS_long/SMIC-HS-E")
    with pytest.raises(MerError, match="HS_long/SMIC-HS-E/s01"):
        read("smic", root, variant="hs_long")

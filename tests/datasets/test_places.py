"""Archives unpacked in parts, each in a folder of its own, are one release; two versions of one clip are not."""

import shutil

import pytest
from raw_releases import macro, micro

from mer.base.errors import MerError
from mer.datasets.places import is_cropped, merged, undoubled
from mer.datasets.releases import read


def move(root, pairs):
    for source, target in pairs:
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        (root / source).rename(root / target)


def drive_parts(root, folder, names, part):
    """Spread what is in `folder` over folders named by `part`, as a download in parts does."""
    for i, name in enumerate(names, 1):
        move(root, [(f"{folder}/{name}", part.format(i, name))])
    shutil.rmtree(root / folder.split("/")[0], ignore_errors=True)


def dfew_parts(root):
    macro.write_dfew(root)
    whole = root / "Clip/clip_224x224/clip_224x224"
    names = sorted(path.name for path in whole.iterdir())
    for i, name in enumerate(names, 1):
        part = root / f"Clip/parts/clip_224x224_part_{i}"
        part.mkdir(parents=True)
        (whole / name).rename(part / name)
    shutil.rmtree(root / "Clip/clip_224x224")


def ferv39k_parts(root):
    macro.write_ferv39k(root)
    move(root, [("2_ClipsforFaceCrop/2_ClipsforFaceCrop/Action", "2_ClipsforFaceCrop-001/2_ClipsforFaceCrop/Action"),
                ("2_ClipsforFaceCrop/2_ClipsforFaceCrop/War", "2_ClipsforFaceCrop-002/2_ClipsforFaceCrop/War")])
    # one scene in both parts
    move(root, [("2_ClipsforFaceCrop-001/2_ClipsforFaceCrop/Action/Happy/0016",
                 "2_ClipsforFaceCrop-002/2_ClipsforFaceCrop/Action/Happy/0016")])


def casme3_parts(root):
    micro.casme3_book(root)
    micro.casme3_videos(root)
    place = "part_A/data/part_A_split/part_A"
    drive_parts(root, place, sorted(path.name for path in (root / place).iterdir()), "part_A-{:03d}/part_A/{}")


def casme3_zip_a_subject(root):
    micro.casme3_book(root)
    micro.casme3_videos(root)
    place = "part_A/data/part_A_split/part_A"
    drive_parts(root, place, sorted(path.name for path in (root / place).iterdir()),
                "Compressed_version1_seperate_compress/{1}/{1}")


def affwild2_batches(root, outer="cropped_aligned/"):
    macro.write_affwild2(root)
    move(root, [("cropped_aligned/cropped_aligned", "first"), ("cropped_aligned_new_50_vids", "second")])
    shutil.rmtree(root / "cropped_aligned")
    move(root, [("first", f"{outer}batch1/cropped_aligned"), ("second", f"{outer}batch2/cropped_aligned_new_50_vids")])


def affwild2_batches_alone(root):
    affwild2_batches(root, outer="")


def casme2_parts(root):
    micro.write_casme2(root)
    drive_parts(root, "CASME2-RAW/CASME2-RAW", ["sub01", "sub02", "sub03", "sub24"], "CASME2-RAW-{:03d}/CASME2-RAW/{}")


def smic_parts(root):
    micro.write_smic(root)
    move(root, [("SMIC_all_raw/HS/s1", "part2/SMIC_all_raw/HS/s1")])


def casme_sq_parts(root):
    micro.write_casme_sq(root)
    move(root, [("rawpic/s16", "rawpic-002/rawpic/s16")])


def samm_parts(root):
    micro.write_samm(root)
    move(root, [("SAMM/031", "SAMM-002/SAMM/031"), ("SAMM/030/030_1_2", "SAMM-002/SAMM/030/030_1_2")])


@pytest.mark.parametrize(("name", "write", "count"), [
    ("dfew", dfew_parts, 4), ("ferv39k", ferv39k_parts, 3), ("casme3", casme3_parts, len(micro.CASME3)),
    ("casme3", casme3_zip_a_subject, len(micro.CASME3)), ("affwild2", affwild2_batches, None),
    ("affwild2", affwild2_batches_alone, None), ("casme2", casme2_parts, len(micro.CASME2)),
    ("samm", samm_parts, len(micro.SAMM)), ("smic", smic_parts, 4), ("casme_sq", casme_sq_parts, 5)])
def test_the_parts_of_an_archive_are_one_release(tmp_path, name, write, count):
    write(tmp_path)
    clips = read(name, tmp_path).clips
    if count is None:  # as many as from one folder
        macro.write_affwild2(tmp_path / "whole")
        count = len(read("affwild2", tmp_path / "whole").clips)
        shutil.rmtree(tmp_path / "whole")
    assert len(clips) == count


def test_the_complete_16_frames_of_dfew_are_not_mixed_with_the_parts(tmp_path):
    dfew_parts(tmp_path)
    reading = read("dfew", tmp_path)
    assert {clip.last for clip in reading.clips} == {12}
    assert any("not from clip/clip_224x224_16f" in note for note in reading.notes)


def test_a_clip_in_two_places_with_equal_images_is_noted(tmp_path):
    dfew_parts(tmp_path)
    parts = tmp_path / "Clip/parts"
    shutil.copytree(parts / "clip_224x224_part_1/00001", parts / "clip_224x224_part_2/00001")
    (parts / "clip_224x224_part_2/00001/Thumbs.db").write_bytes(b"junk")
    reading = read("dfew", tmp_path)
    assert len(reading.clips) == 4 and reading.clips[0].frames_dir == "Clip/parts/clip_224x224_part_1/00001"
    assert any("00001 in Clip/parts/clip_224x224_part_1/00001 and Clip/parts/clip_224x224_part_2/00001" in note
               for note in reading.notes)


@pytest.mark.parametrize("spoil", ["bytes", "fewer", "size"])
def test_a_clip_in_two_places_with_different_images_is_refused_by_name(tmp_path, spoil):
    dfew_parts(tmp_path)
    second = tmp_path / "Clip/parts/clip_224x224_part_2/00001"
    shutil.copytree(tmp_path / "Clip/parts/clip_224x224_part_1/00001", second)
    image = second / "00001_00003.jpg"
    data = image.read_bytes()
    if spoil == "fewer":
        image.unlink()
    else:
        image.write_bytes(data[:-1] + b"x" if spoil == "bytes" else data + b"x")
    with pytest.raises(MerError, match="00001 lies in .*part_1/00001 and in .*part_2/00001 with different images.*"
                                       "00001_00003.jpg.*keep one"):
        read("dfew", tmp_path)


def test_an_empty_folder_counts_as_none(tmp_path):
    for name in ("a/00001", "b/00001"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "b/00001/1.jpg").write_bytes(b"x")
    notes = []
    found = merged(tmp_path, [(("00001",), tmp_path / "a/00001"), (("00001",), tmp_path / "b/00001")], notes)
    assert found == {("00001",): tmp_path / "b/00001"} and notes == []


def test_folders_of_one_name_in_each_other(tmp_path):
    (tmp_path / "s01/s01/s01/x").mkdir(parents=True)
    assert undoubled(tmp_path / "s01") == tmp_path / "s01/s01/s01"


@pytest.mark.parametrize(("place", "image", "expected"), [
    ("Cropped", "img1.jpg", True), ("CASME2_preprocessed_Li Xiaobai", "reg_img1.jpg", True),
    ("CASME2-RAW", "img1.jpg", False), (".", "reg_img1.jpg", True)])
def test_crops_are_told_by_the_path_or_the_names_of_the_images(tmp_path, place, image, expected):
    clip = tmp_path / place / "sub01/EP01_2"
    clip.mkdir(parents=True)
    (clip / image).touch()
    (clip / "._img1.jpg").touch()
    assert is_cropped(tmp_path, tmp_path / place, r"sub\d\d") is expected


def test_crops_without_a_folder_of_that_name_are_no_raw_frames(tmp_path):
    micro.write_casme2(tmp_path)
    shutil.rmtree(tmp_path / "CASME2-RAW")
    (tmp_path / "Cropped").rename(tmp_path / "CASME2_preprocessed_Li Xiaobai")
    assert len(read("casme2", tmp_path, images="cropped").clips) == len(micro.CASME2)
    with pytest.raises(MerError, match="looks alike"):
        read("casme2", tmp_path)


def test_expressions_that_have_no_folder_of_their_own_are_read_from_whole_videos(tmp_path):
    micro.write_casme3(tmp_path)
    micro.casme3_videos(tmp_path)
    shutil.rmtree(tmp_path / "Part_A_ME_clip/Part_A_ME_clip/frame/spNo.1_a_355")
    clips = {clip.clip_id: clip for clip in read("casme3", tmp_path).clips}
    assert len(clips) == len(micro.CASME3)
    assert clips["spNO.1_a_355"].frames_dir.endswith("part_A/spNO.1/a/color")
    assert "Part_A_ME_clip" in clips["spNO.1_a_400"].frames_dir


def test_a_missing_video_is_named_by_its_path(tmp_path):
    micro.casme3_book(tmp_path)
    micro.casme3_videos(tmp_path)
    shutil.rmtree(tmp_path / "part_A/data/part_A_split/part_A/spNO.40")
    left = [row.reason for row in read("casme3", tmp_path).excluded]
    assert left == ["frame folder not found: part_A/data/part_A_split/part_A/spNO.40/e/color"]

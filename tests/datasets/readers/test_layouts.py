"""Layouts in which people really have the releases: each is the miniature of tests/raw_releases, moved."""

import shutil

import pytest
from raw_releases import macro, micro, samm_long
from raw_releases.plain import write_frames

from mer.base.errors import MerError
from mer.datasets import __main__ as command
from mer.datasets.releases import read

WRITERS = {
    "casme2": micro.write_casme2, "samm": micro.write_samm, "smic": micro.write_smic, "casme_sq": micro.write_casme_sq,
    "casme3": micro.write_casme3, "mmew": micro.write_mmew, "affwild2": macro.write_affwild2, "dfew": macro.write_dfew,
    "ferv39k": macro.write_ferv39k, "afew": macro.write_afew,
    "samm_long": samm_long.write_samm_long}
TABLE = "CASME2-coding-20190701.xlsx"
RAW, CROPPED = "CASME2-RAW/CASME2-RAW", "Cropped"
LIXIAOBAI = "CASME2_preprocessed_Li Xiaobai"
SAMM = "SAMM_Micro_FACS_Codes_v2.xlsx"
SQ = "CAS(ME)^2code_final(Updated).xlsx"
CLIPS3 = "Part_A_ME_clip/Part_A_ME_clip"
CROPS = "cropped_aligned/cropped_aligned"
LAYOUTS = {  # dataset -> [(moves from -> to, what is deleted first, options)]
    "casme2": [
        ({RAW: "CASME2-RAW"}, [CROPPED], {}),
        ({RAW: RAW}, [], {}),
        ({RAW: "CASME2_RAW_selected/CASME2_RAW_selected", TABLE: f"CASME2_RAW_selected/{TABLE}"}, [], {}),
        ({CROPPED: f"{LIXIAOBAI}/Cropped", TABLE: f"{LIXIAOBAI}/{TABLE}"}, ["CASME2-RAW"], {"images": "cropped"}),
        ({CROPPED: f"{LIXIAOBAI}/{LIXIAOBAI}/Cropped", TABLE: f"{LIXIAOBAI}/{LIXIAOBAI}/{TABLE}"}, ["CASME2-RAW"],
         {"images": "cropped"}),
        ({CROPPED: "Cropped-updated/Cropped"}, [], {"images": "cropped"}),
        ({TABLE: "CASME2-coding-20190701 (1).xlsx"}, [], {}),
        ({f"{RAW}/{name}": name for name in ("sub01", "sub02", "sub03", "sub24")}, [CROPPED], {}),
    ],
    "samm": [
        ({"SAMM": "SAMM/SAMM"}, ["SAMM_CROP"], {}),
        ({SAMM: f"SAMM_CROP/{SAMM}"}, ["SAMM"], {"images": "cropped"}),
        ({"SAMM": "SAMM_clip"}, [], {}),
        ({"SAMM": "SAMM_clip", SAMM: "SAMM_20181215_Micro_FACS_Codes_v2.xlsx"}, [], {}),
    ],
    "smic": [
        ({"SMIC_all_raw": "SMIC_all_raw/SMIC_all_raw"}, [], {}),
        ({}, ["SMIC_all_raw"], {"images": "cropped"}),
        ({f"SMIC_all_raw/HS/{name}/micro": f"SMIC_all_raw/HS/{name}/Micro" for name in ("s1", "s3", "s20")}, [], {}),
        ({"SMIC_all_raw/HS": "HS"}, ["SMIC_all_cropped"], {}),
        ({}, [], {"variant": "vis"}),
    ],
    "samm_long": [
        ({"SAMM_longvideos": "SAMM_longvideos/SAMM_longvideos"}, [], {}),
        ({samm_long.TABLE: f"SAMM_longvideos/{samm_long.TABLE}"}, [], {}),
        ({samm_long.TABLE: "SAMM_LongVideos_V1_Release.xlsx", "SAMM_longvideos": "SAMMLV"}, [], {}),
    ],
    "casme_sq": [
        ({SQ: "CAS(ME)^2code_final.xlsx"}, [], {}),
        ({"rawpic": "rawpic/rawpic"}, [], {}),
        ({"rawpic": "rawpic_crop"}, [], {"images": "cropped"}),
    ],
    "casme3": [
        ({f"{CLIPS3}/frame": "Part_A_ME_clip/frame"}, [], {}),
        ({CLIPS3: "data/Part_A_ME_clip"}, ["Part_A_MaE_clip"], {}),
        ({f"{CLIPS3}/frame": "Part_A_ME_clip"}, ["Part_A_MaE_clip"], {}),
        ({f"{CLIPS3}/frame": "ME_A"}, [], {}),
    ],
    "mmew": [
        ({"MMEW_Micro_Exp.xlsx": "MMEW_Micro_Exp(20).xlsx"}, [], {}),
        ({"MMEW_Micro_Exp.xlsx": "MMEW_Micro_Exp_v2.xlsx"}, [], {}),
        ({"Micro_Expression": "Micro_Expression/Micro_Expression"}, [], {}),
    ],
    "dfew": [
        ({"Clip/clip_224x224/clip_224x224": "Clip/clip_224x224"}, [], {}),
        ({}, ["Clip/clip_224x224"], {}),
        ({"Clip/clip_224x224": "Clip/single_labeled"}, ["Clip/clip_224x224_16f"], {}),
        ({"Clip": "DFEW_Frame_Face"}, [], {}),
    ],
    "ferv39k": [
        ({"2_ClipsforFaceCrop/2_ClipsforFaceCrop": "2_ClipsforFaceCrop"}, [], {}),
        ({f"4_setups/All_scenes/{name}_All.csv": f"{name}_All.csv" for name in ("train", "test")}, ["4_setups"], {}),
        ({"4_setups": "4_setups-2026-001/4_setups"}, [], {}),
    ],
    "afew": [
        ({"Train_AFEW": "Train_AFEW/Train_AFEW", "Val_AFEW": "Val_AFEW/Val_AFEW"}, [], {}),
        ({"Train_AFEW": "Train", "Val_AFEW": "Val"}, [], {}),
    ],
    "affwild2": [
        ({CROPS: "cropped_aligned"}, [], {}),
        ({"cropped_aligned_new_50_vids": f"{CROPS}/../cropped_aligned_new_50_vids"}, [], {}),
        ({"6th ABAW Annotations/EXPR_Recognition_Challenge": "2nd ABAW/EXPR_Set"}, ["annotations"], {}),
        ({"annotations/EXPR_Set": "2nd ABAW/annotations/EXPR_Set"}, ["6th ABAW Annotations"], {"variant": "7"}),
        ({"annotations": "both/annotations", "6th ABAW Annotations": "both/6th ABAW Annotations"}, [], {}),
        ({"annotations": "both/annotations", "6th ABAW Annotations": "both/6th ABAW Annotations"}, [],
         {"variant": "7"}),
    ],
}
CASES = [(name, *layout) for name, layouts in LAYOUTS.items() for layout in layouts]


def move(root, pairs):
    """Move each first aside, so that a folder can become one of its own parents."""
    for i, source in enumerate(pairs):
        (root / source).rename(root / f".aside{i}")
    for i, (source, target) in enumerate(pairs.items()):
        if source.startswith(f"{target}/") and (root / target).exists():
            shutil.rmtree(root / target)
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        (root / f".aside{i}").rename(root / target)


def without_places(reading):
    """What must not depend on the layout."""
    return sorted((clip.clip_id, clip.subject, clip.first, clip.last, clip.onset, clip.apex, clip.offset,
                   clip.label_raw, clip.flags) for clip in reading.clips)


@pytest.mark.parametrize(("name", "moves", "deleted", "options"), CASES)
def test_a_layout_gives_the_same_clips(tmp_path, name, moves, deleted, options):
    WRITERS[name](tmp_path)
    if name == "dfew" and deleted == ["Clip/clip_224x224"]:
        expected = [(*row[:3], 16, row[4], row[5], 16, *row[7:]) for row in without_places(read(name, tmp_path))]
    else:
        first = {} if name == "casme_sq" else options  # which has no crops until they are moved to such a folder
        expected = without_places(read(name, tmp_path, **first))
    kept = {source: target for source, target in moves.items()
            if any(source.startswith(f"{folder}/") for folder in deleted)}
    move(tmp_path, kept)
    for folder in deleted:
        shutil.rmtree(tmp_path / folder)
    move(tmp_path, {source: target for source, target in moves.items() if source not in kept})
    assert without_places(read(name, tmp_path, **options)) == expected and expected
    assert (name == "smic" and "HS" in moves.values()) or command.guess(tmp_path) == name


def test_everything_of_casme2_at_once_is_noted(tmp_path):
    micro.write_casme2(tmp_path)
    expected = {images: without_places(read("casme2", tmp_path, images=images)) for images in ("raw", "cropped")}
    micro.casme2_frames(tmp_path, raw="CASME2_RAW_selected/CASME2_RAW_selected")
    shutil.copytree(tmp_path / CROPPED, tmp_path / LIXIAOBAI / "Cropped")
    shutil.copytree(tmp_path / CROPPED, tmp_path / "Cropped-updated/Cropped")
    (tmp_path / CROPPED / "sub01/EP01_2.avi").write_bytes(b"RIFF")
    for images in expected:
        reading = read("casme2", tmp_path, images=images)
        assert without_places(reading) == expected[images]
        assert any("not from" in note for note in reading.notes)


def test_a_table_as_csv_and_beside_the_lock_file_of_an_open_workbook(tmp_path):
    micro.write_casme2(tmp_path)
    expected = without_places(read("casme2", tmp_path))
    (tmp_path / TABLE).unlink()
    lines = [micro.CASME2_HEADER, *([row[0], row[1], "", *row[2:5], "", *row[5:]] for row in micro.CASME2)]
    text = "\n".join(",".join("" if cell is None else str(cell) for cell in line) for line in lines)
    (tmp_path / "CASME2-coding-20190701.csv").write_text(text, encoding="utf-8-sig")
    assert without_places(read("casme2", tmp_path)) == expected


def earlier_edition(root):
    """Of as many classes, with another label in every line."""
    for path in list((root / "6th ABAW Annotations").rglob("*.txt")):
        lines = path.read_text().splitlines()
        other = root / "5th ABAW Annotations/EXPR_Classification_Challenge" / path.parent.name / path.name
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_text("\n".join([lines[0], *("5" for _ in lines[1:]), ""]))


BESIDE = {  # dataset -> [what lies beside it, and changes nothing]
    "samm": [lambda root: write_frames(root / "SAMM_longvideos/006_1", [1, 2], "006_1_{:04d}.jpg"),
             lambda root: shutil.copytree(root / "SAMM", root / "SAMM_clip")],
    "smic": [micro.write_smic_long],
    "casme3": [lambda root: write_frames(root / CLIPS3 / "video/spNo.1_a_355", [1, 355], "{}.jpg"),
               lambda root: write_frames(root / "Part_A_ME_clip/video/spNo.1_a_400", [1], "{}.png"),
               lambda root: write_frames(root / "MaE/frame/spNo.14_j_3", range(3, 16), "{}.jpg"),
               lambda root: write_frames(root / f"{CLIPS3}_MaE/spNo.1_a_355", [355], "{}.png")],
    "affwild2": [earlier_edition],
}


@pytest.mark.parametrize(("name", "put"), [(name, put) for name, every in BESIDE.items() for put in every])
def test_what_lies_beside_a_release_changes_nothing(tmp_path, name, put):
    WRITERS[name](tmp_path)
    expected = read(name, tmp_path)
    put(tmp_path)
    reading = read(name, tmp_path)
    assert (reading.clips, reading.excluded) == (expected.clips, expected.excluded) and reading.clips


def test_clips_of_casme3_without_the_level_frame_beside_their_depth(tmp_path):
    micro.write_casme3(tmp_path)
    expected = without_places(read("casme3", tmp_path))
    for folder in list((tmp_path / CLIPS3 / "frame").iterdir()):
        folder.rename(tmp_path / CLIPS3 / folder.name)
    (tmp_path / CLIPS3 / "frame").rmdir()
    reading = read("casme3", tmp_path)
    assert without_places(reading) == expected and (tmp_path / CLIPS3 / "depth/spNo.1_a_355").is_dir()
    assert not any("depth" in clip.frames_dir for clip in reading.clips)


def test_long_videos_beside_samm(tmp_path):
    micro.write_samm(tmp_path)
    expected = read("samm", tmp_path)
    samm_long.write_samm_long(tmp_path)
    assert read("samm", tmp_path) == expected
    assert len(read("samm_long", tmp_path).clips) == len(samm_long.ROWS)
    with pytest.raises(MerError, match="looks like samm and samm_long at once"):
        command.guess(tmp_path)


def test_the_codes_of_casme_sq_as_text_below_a_header(tmp_path):
    micro.write_casme_sq(tmp_path)
    expected = without_places(read("casme_sq", tmp_path))
    heads = ["subject", "name", "onset", "apex", "offset", "au", "emotion", "type"]
    micro.write_book(tmp_path / SQ, {"a": [heads, *([*row, "x"] for row in micro.CASME_SQ)],
                                     "b": [["number", "folder", "subject"], [15, "s15", 1], [16, "s16", 2]],
                                     "c": [["code", "video"], ["0101", "disgust1"], ["0502", "happy1"]]})
    assert without_places(read("casme_sq", tmp_path)) == expected


def test_parts_a_and_c_of_casme3_together(tmp_path):
    micro.write_casme3(tmp_path / "a")
    micro.write_casme3_c(tmp_path / "c")
    expected = [without_places(read("casme3", tmp_path / "a")),
                without_places(read("casme3", tmp_path / "c", variant="c"))]
    shutil.move(tmp_path / "c/part_C", tmp_path / "a/RGB_Depth/part_C")
    shutil.move(tmp_path / "c/annotation/CAS(ME)3_part_C_ME.xlsx", tmp_path / "a/annotation")
    assert [without_places(read("casme3", tmp_path / "a", variant=part)) for part in ("auto", "c")] == expected


@pytest.mark.parametrize("place", ["part_A/data/part_A_split/part_A", "Compressed_version1_seperate_compress"])
def test_colour_folders_of_whole_videos_in_any_case(tmp_path, place):
    micro.casme3_book(tmp_path)
    micro.casme3_videos(tmp_path)
    expected = without_places(read("casme3", tmp_path))
    move(tmp_path, {"part_A/data/part_A_split/part_A": place})
    for folder in list((tmp_path / place).glob("*/*/color")):
        folder.rename(folder.with_name("Color"))
    assert without_places(read("casme3", tmp_path)) == expected


@pytest.mark.parametrize("folder", ["SMIC-HS-E/HS", "SMIC_HS_E", "SMIC-E_raw_image/HS_long/SMIC-HS-E"])
def test_the_long_set_of_smic(tmp_path, folder):
    micro.write_smic_long(tmp_path)
    expected = without_places(read("smic", tmp_path, variant="hs_long"))
    move(tmp_path, {"SMIC-E_raw image/HS_long/SMIC-HS-E": folder})
    assert without_places(read("smic", tmp_path, variant="hs_long")) == expected


def test_windows_line_ends_and_blank_lines_of_affwild2(tmp_path):
    macro.write_affwild2(tmp_path)
    expected = without_places(read("affwild2", tmp_path))
    for path in (tmp_path / "6th ABAW Annotations").rglob("*.txt"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    assert without_places(read("affwild2", tmp_path)) == expected

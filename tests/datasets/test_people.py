"""One person under two names is refused, by folders and by what the clips show."""

from pathlib import Path

import pytest

from mer.base.errors import MerError
from mer.datasets.clips import Clip
from mer.datasets.people import refuse_shared


def clip(root: Path, name: str, subject: str, folder: str, images: str, flags: str = "") -> Clip:
    """A clip whose images hold one letter each."""
    for number, letter in enumerate(images, 1):
        path = root / folder / f"img{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(letter)
    count = len(images)
    return Clip(name, "mine", "plain", f"mine/{subject}", folder, 1, count, 1, None, count, 100.0, "joy", "", flags)


def test_different_people_are_let_through(tmp_path):
    refuse_shared("mine", tmp_path, [
        clip(tmp_path, "a", "s1", "s1/a", "abc"), clip(tmp_path, "a2", "s1", "s1/a2", "abc"),  # her own, twice
        clip(tmp_path, "b", "s2", "s2/b", "abd"),  # begins alike and goes on otherwise
        clip(tmp_path, "c", "s3", "s3/c", "zzz"), clip(tmp_path, "d", "s4", "s4/d", "zzz"),  # black images
        clip(tmp_path, "e", "s5", "clips/1", "e"), clip(tmp_path, "f", "s6", "clips/s5", "f")])  # a clip of that name


@pytest.mark.parametrize("images", ["abc", "a"])
def test_the_same_images_under_two_names(tmp_path, images):
    twice = [clip(tmp_path, "a", "s1", "x/a", images), clip(tmp_path, "b", "s2", "x/b", images)]
    with pytest.raises(MerError, match=r"mine: clips a of mine/s1 and b of mine/s2 are the same images \(x/a, x/b\)"):
        refuse_shared("mine", tmp_path, twice)


def test_a_frame_that_cannot_be_read_says_nothing_of_people(tmp_path):
    clips = [clip(tmp_path, name, subject, f"x/{name}", "abc") for name, subject in (("a", "s1"), ("b", "s2"))]
    for number, name in ((1, "b"), (3, "a")):
        link = tmp_path / f"x/{name}/img{number}.jpg"
        link.unlink()
        link.symlink_to(tmp_path / "none.jpg")
        refuse_shared("mine", tmp_path, clips)


def test_a_part_of_the_others_clip(tmp_path):
    twice = [clip(tmp_path, "a", "s1", "x/a", "abcd"), clip(tmp_path, "b", "s2", "x/b", "ab")]
    with pytest.raises(MerError, match="are the same images"):
        refuse_shared("mine", tmp_path, twice)


def test_one_folder_of_two_people(tmp_path):
    twice = [clip(tmp_path, "a", "s1", "film", "abcd"), clip(tmp_path, "b", "s2", "film", "abcd")]
    with pytest.raises(MerError, match=r"have one folder, film: one person under two names"):
        refuse_shared("mine", tmp_path, twice)


def test_a_clip_among_anothers(tmp_path):
    three = [clip(tmp_path, "a", "s1", "s1/a", "ab"), clip(tmp_path, "b", "s2", "s2/b", "cd"),
             clip(tmp_path, "c", "s2", "s1/c", "ef")]
    with pytest.raises(MerError, match=r"clip c of mine/s2 lies in s1, among the clips of mine/s1: whose is it\?"):
        refuse_shared("mine", tmp_path, three)


def test_groups_of_a_release_that_names_no_persons(tmp_path):
    refuse_shared("dfew", tmp_path, [clip(tmp_path, "a", "g1", "x/a", "abc", "subject_unknown"),
                                     clip(tmp_path, "b", "g2", "x/b", "abc", "train;subject_unknown")])

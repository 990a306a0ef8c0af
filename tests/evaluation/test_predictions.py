"""The prediction table: what is written comes back, and every defect is named with file, row and column."""

import numpy as np
import pytest

from mer.base.errors import MerError
from mer.evaluation import predictions

TEXT = """clip_id,subject,fold,seed,selection,label,p_0,p_1,epe,epe_zero,nme,nme_mean_face,failures
c1,a/s1,a/s1,0,last,0,0.75,0.25,0.5,0.6,,,
c2,a/s1,a/s1,0,last,1,0.5,0.5,,,0.05,0.06,0
"""


def made(n=4, **changes):
    columns = {"clip_id": [f"c{i}" for i in range(n)], "subject": ["a/s1"] * n, "fold": "a/s1", "seed": 0,
               "selection": "last", "label": [0, 1] * (n // 2), "p": np.full((n, 2), 0.5)} | changes
    return predictions.table(**columns)


def test_written_and_read_back(tmp_path):
    rng = np.random.default_rng(0)
    t = made(p=rng.dirichlet([1, 1], 4), aux={"epe": [0.1, np.nan, 0.3, 1 / 3]})
    predictions.write(tmp_path / "p.csv", t)
    back = predictions.read(tmp_path / "p.csv")
    np.testing.assert_allclose(back.p, t.p, rtol=1e-8)
    np.testing.assert_allclose(back.aux["epe"], t.aux["epe"], rtol=1e-8)
    assert np.isnan(back.aux["nme"]).all()
    assert back.clip_id.tolist() == t.clip_id.tolist() and back.label.tolist() == t.label.tolist()
    predictions.write(tmp_path / "q.csv", back)
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "q.csv").read_bytes()


def test_order_of_rows_does_not_change_the_file(tmp_path):
    t = made()
    predictions.write(tmp_path / "p.csv", t)
    predictions.write(tmp_path / "q.csv", t.rows(np.array([2, 0, 3, 1])))
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "q.csv").read_bytes()


def test_ties_go_to_the_first_class(tmp_path):
    (tmp_path / "p.csv").write_text(TEXT)
    assert predictions.read(tmp_path / "p.csv").predicted.tolist() == [0, 0]


@pytest.mark.parametrize(("old", "new", "words"), [
    ("clip_id,subject", "clip,subject", "column clip_id is missing"),
    ("p_0,p_1", "p_0,p_7", "column p_1 is missing"),
    ("epe,epe_zero", "epe,speed", "unexpected column 'speed'"),
    ("last,0,0.75", "last,x,0.75", "row 1, column label: 'x'"),
    ("last,1,0.5", "last,2,0.5", "row 2, column label: 2"),
    ("0.75,0.25", "0.75,0.75", "row 1, column p_0"),
    ("0.75,0.25", "nan,0.25", "row 1, column p_0"),
    ("0.75,0.25", "much,0.25", "row 1, column p_0: 'much'"),
    ("0.05,0.06", "-1,0.06", "row 2, column nme"),
    ("a/s1,0,last,1", "a/s1,0.5,last,1", "row 2, column seed: '0.5'"),
    ("c2,a/s1", "c1,a/s1", "row 2: clip c1 of a/s1 is predicted twice"),
    ("c2,a/s1", ",a/s1", "row 2, column clip_id: empty"),
    (",0.05,0.06,0\n", ",0.05,0.06\n", "row 2 has 12 cells; expected 13"),
])
def test_defects_are_named(tmp_path, old, new, words):
    path = tmp_path / "p.csv"
    assert old in TEXT
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(MerError, match="p.csv") as error:
        predictions.read(path)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(MerError, match="no such prediction table"):
        predictions.read(tmp_path / "p.csv")
    (tmp_path / "p.csv").write_text("")
    with pytest.raises(MerError, match="empty file"):
        predictions.read(tmp_path / "p.csv")
    (tmp_path / "p.csv").write_text(TEXT.split("\n")[0] + "\n")
    with pytest.raises(MerError, match="no row"):
        predictions.read(tmp_path / "p.csv")
    (tmp_path / "p.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MerError, match="not a CSV table"):
        predictions.read(tmp_path / "p.csv")


def test_tables_are_joined_only_when_they_fit():
    a, b = made(), made(fold="a/s1", seed=1)
    both = predictions.concat([a, b])
    assert len(both) == 8 and len(both.where(seed=1)) == 4 and len(both.where("oracle")) == 0
    with pytest.raises(MerError, match="predicted twice"):
        predictions.concat([a, a])
    with pytest.raises(MerError, match="had label 0 in an earlier row"):
        predictions.concat([a, made(seed=1, label=[1, 1, 0, 1])])
    with pytest.raises(MerError, match=r"\[2, 3\] classes"):
        predictions.concat([a, made(seed=1, p=np.full((4, 3), 1 / 3))])
    with pytest.raises(MerError, match="no prediction table"):
        predictions.concat([])


def test_columns_must_have_one_length():
    with pytest.raises(MerError, match="3 values"):
        made(label=[0, 1, 0])
    with pytest.raises(MerError, match="unknown column speed"):
        made(aux={"speed": [1, 2, 3, 4]})

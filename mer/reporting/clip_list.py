"""The page's lists of what was tested: every clip, those that were missed first, and every fold."""

import re
from collections import defaultdict
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from mer.evaluation import predictions
from mer.evaluation.predictions import Predictions
from mer.reporting import html


def clips(run: dict, reports: Path) -> str:
    """A row a clip: its class, what it was taken for, the probability of the true class; a link where it is drawn.

    Args:
        run: data/folds/summary.json; reports: the folder with predictions.csv and plots/results/clip_*.png.
    """
    t = predictions.read(reports / "predictions.csv").where(run["selection"][0])
    names, rows = run["class_names"], []
    drawn = {named[0]: path.stem for path in sorted((reports / "plots/results").glob("clip_*.png"))
             if (named := re.findall(r"(\S+), clip (\S+)", _title(path)))}
    places: dict[tuple[str, str], list[int]] = defaultdict(list)  # a release may have 40,000 clips
    for place, key in enumerate(zip(t.subject.tolist(), t.clip_id.tolist(), strict=True)):
        places[key].append(place)
    for (subject, clip_id), own_rows in places.items():
        own = t.rows(np.array(own_rows))
        label, p = int(own.label[0]), own.p.mean(axis=0)
        right = int((own.predicted == label).sum())
        picture = drawn.get((subject, clip_id))
        shown = f'<a href="#{picture}">{escape(clip_id)}</a>' if picture else escape(clip_id)
        rows.append((right / len(own), float(p[label]), [shown, *map(escape, (
            subject, names[label], names[int(p.argmax())], f"{p[label]:.3f}", f"{p.max():.3f}",
            f"{right} of {len(own)}"))]))
    rows.sort(key=lambda row: row[:2])
    several = len(set(t.seed.tolist())) > 1
    header = ["clip", "subject", "true class", "taken for", "score of the true class", "highest score", "seeds right"]
    cells = [row if several else row[:-1] for *_, row in rows]
    wrong = sum(share < 1 for share, *_ in rows)
    table = html.grid("Every tested clip, the missed ones first", header if several else header[:-1], cells,
                      markup=True, long=True)
    return html.section("clips", "Clips", html.paragraph(
        f"{wrong} of {len(rows)} clips are missed{' by at least one seed' if several else ''}. Scores are a softmax"
        f"{', the mean of the seeds' if several else ''}, no calibrated probabilities. Linked clips are drawn below.",
        "quiet"), table)


def folds(run: dict, reports: Path) -> str:
    """A row a fold: who was tested on how many clips, and what share was recognised under each selection."""
    t = predictions.read(reports / "predictions.csv")
    head = t.where(run["selection"][0])
    rules, rows = [rule for rule in run["selection"] if rule in t.selection], []
    for fold in sorted(set(head.fold.tolist())):
        own = head.rows(head.fold == fold)
        people = sorted(set(own.subject.tolist()))
        shares = [_share(part.rows(part.fold == fold)) for part in map(t.where, rules)]
        tested = set(zip(own.subject.tolist(), own.clip_id.tolist(), strict=True))
        rows.append((fold, len(people), len(tested), *shares))
    header = ("fold", "tested subjects", "clips", *rules)
    if all(count == 1 for _, count, *_ in rows):  # the fold is called after its subject
        return html.grid("Each tested subject (percent right)", ("subject", *header[2:]), [
            (name, *rest) for name, _, *rest in rows])
    return html.grid("Each fold (percent right)", header, rows)


def _share(part: Predictions) -> str:
    """Percent of the rows that are right, with the standard deviation over seeds where there are several."""
    by_seed = [100 * float(np.mean(one.predicted == one.label)) for one in (
        part.where(seed=seed) for seed in sorted(set(part.seed.tolist())))]
    if not by_seed:
        return ""
    mean = f"{np.mean(by_seed):.1f}"
    return mean if len(by_seed) == 1 else f"{mean} ± {np.std(by_seed, ddof=1):.1f}"


def _title(path: Path) -> str:
    with Image.open(path) as image:
        return image.info.get("Title", "")

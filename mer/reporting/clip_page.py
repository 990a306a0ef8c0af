"""The page of a clip of one's own: scores with their spread, pictures, what was assumed, what it may not be used for.

Self-contained; the clothes are those of reports/index.html.
"""

import base64
import tempfile
from html import escape
from pathlib import Path

from mer.apply import NOT_CALIBRATED, NOT_TO_MEASURE, Judged, rows, trained_on
from mer.reporting import clip_drawings, html
from mer.reporting.page import badges

MODELS = {"mol": "Landmarks and flow", "fdp": "Dynamic image and rank scores", "ma2mi": "Where the network looks"}
FOOTER = ("Made by mer.predict of the mer pipeline, on this machine; the page holds a face: pass it on only as its "
          "owner allows. Expressions are labels of a dataset, not proof of what a person feels.")
FRAMES = 300  # of the moving picture at most: a longer clip would make the page too heavy


def build(judged: Judged) -> str:
    """The page as text."""
    title = f"{judged.clip.clip_id}: {judged.run.about['model'].upper()}"
    few = f'<span class="badge">{escape(judged.warning)}</span>' if judged.warning else ""
    head = few + badges(judged.run.about) + html.paragraph(_lede(judged), "lede")
    return html.document(title, over=f"a clip seen by {judged.run.title}", heading=judged.clip.clip_id, head=head,
                         main=_sections(judged), footer=FOOTER, skip="the scores")


def _lede(judged: Judged) -> str:
    (name, mean, _, low, high, count), *_ = rows(judged)
    if len(judged.networks) == 1:
        return f"The network of {judged.networks[0].name} scores {name} highest, {mean:.2f}. {NOT_CALIBRATED}"
    return (f"{name} has the highest mean score, {mean:.2f}, from {low:.2f} to {high:.2f} between the "
            f"{len(judged.networks)} networks, of which {count} prefer it. {NOT_CALIBRATED}")


def _sections(judged: Judged) -> str:
    run = judged.run
    header = ("class", "score") if len(judged.networks) == 1 else ("class", "mean score", "sd", "lowest", "highest",
                                                                   "preferred by")
    cells = [(name, *(f"{value:.4f}" for value in values), count) for name, *values, count in rows(judged)]
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(folder) / "scores.png"
        clip_drawings.scores(run.classes, judged.p, 1 / len(run.classes), chart)
        drawn = clip_drawings.draw(run.about["model"], judged, Path(folder))
        shown = html.figures([html.figure(chart)])
        pictures = html.figures(map(html.figure, drawn))
    spoken = (f"Scores above are those of this network, {judged.shown.name}." if len(judged.networks) == 1 else
              f"The network of {judged.shown.name} is shown, whose scores lie nearest to the mean.")
    networks = [(n.fold, n.seed, *(f"{value:.4f}" for value in p))
                for n, p in zip(judged.networks, judged.p, strict=True)]
    return "".join((
        html.section("scores", "Scores", shown,
                     html.grid("Scores, not calibrated", header, [row[:len(header)] for row in cells])),
        html.section("pictures", MODELS[run.about["model"]], html.paragraph(spoken, "quiet"), pictures, _film(judged)),
        html.section("clip", "The clip", *map(html.paragraph, judged.notes)),
        html.section("network", "The networks", html.paragraph(trained_on(run)), html.paragraph(NOT_TO_MEASURE),
                     html.grid("Each network's scores", ("fold", "seed", *run.classes), networks))))


def _film(judged: Judged) -> str:
    """The moving picture, folded away: what moves by itself must be possible to stop."""
    if len(judged.film) > FRAMES:
        return ""
    data = base64.b64encode(clip_drawings.film(judged)).decode("ascii")
    side = clip_drawings.SHOWN
    told = f"{len(judged.film)} frames from onset to offset, {1000 // clip_drawings.SLOWER} a second"
    return (f'<details><summary>Moving picture: {told}</summary><img src="data:image/gif;base64,{data}" '
            f'width="{side}" height="{side}" alt="The face in the centre crop, {told}, over and over"></details>')

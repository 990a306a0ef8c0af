"""reports/index.html: one self-contained page of a run, readable without network, on a phone and on paper.

It is a function of files that other stages wrote, and holds no time, host or commit: the same run gives the same bytes.
"""

import re
from html import escape
from pathlib import Path

import mer
from mer.base import environment, store
from mer.datasets import lists
from mer.datasets.releases import is_synthetic
from mer.evaluation import results
from mer.evaluation.protocols import protocol
from mer.evaluation.results import RULES
from mer.reporting import clip_list, costs, html, identity, sections
from mer.tables.formats import Table

FOOTER = (f"Made by the mer pipeline {mer.__version__} (dvc repro). Probabilities of these networks are not "
          "calibrated; expressions are labels of a dataset, not proof of what a person feels.")


def build(parameters: dict, data: Path, reports: Path, tables: list[Table],
          usual: dict[str, object] | None = None) -> str:
    """The page as text.

    Args:
        parameters: nested, as dataclasses.asdict(Params) gives them.
        data, reports: the project's folders; reports holds metrics.json, details.json, pretraining.json and
            predictions.csv, and whatever there is of quality.json, costs.json and plots/.
        usual: what the run's profile says of the dotted keys that it has.
        tables: filled tables of the paper, the most important one first.

    Raises:
        MerError: metrics.json, pretraining.json or predictions.csv is missing or damaged.
    """
    m = results.read(reports)
    run = store.read_json(data / "folds" / "summary.json")
    datasets = " + ".join(run["datasets"])
    title = f"{run['model'].upper()} on {datasets.replace('_', ' ')}, {len(run['class_names'])} classes"
    faces = parameters["report"]["faces"]
    tested, before = (sections.may_show(faces, run[key]) for key in ("datasets", "pretrained_on"))
    parts = [sections.headline(m), sections.beside(m, run, clip_list.folds(run, reports)), sections.papers(tables),
             sections.classes(m, run, reports), clip_list.clips(run, reports), sections.learning(run, reports),
             sections.auxiliary(m, reports, tested), sections.pretraining(reports, run["model"], before),
             sections.releases(reports, parameters), sections.labels(reports, faces),
             sections.settings(parameters, reports, usual or {}), sections.made_with(reports), costs.section(reports)]
    links = re.findall(r'<h2 id="([^"]+)-h">(.*?)</h2>', "".join(parts))
    nav = "".join(f'<li><a href="#{anchor}">{name}</a></li>' for anchor, name in links)
    return html.document(
        title, over=f"micro-expression recognition, {protocol(run['protocol'])}", heading=title, skip="the results",
        head=f"{badges(run)}{_mixed(reports)}{html.paragraph(_lede(m, run), 'lede')}"
             f"{identity.section(run, parameters, reports)}",
        nav=f'<nav aria-label="Contents"><ul>{nav}</ul></nav>\n',
        main="".join(parts), footer=FOOTER)


def badges(run: dict) -> str:
    """What a reader must know first of a run (data/folds/summary.json): synthetic faces, shuffled labels."""
    words = []
    if is_synthetic(run["datasets"]):
        words.append("Synthetic faces: says nothing about real ones")
    if run.get("shuffle_labels"):
        words.append("Control: training labels shuffled")
    return "".join(f'<span class="badge">{word}</span>' for word in words)


def _mixed(reports: Path) -> str:
    mixed = environment.mixed(sections.recorded_versions(reports))
    return f'<span class="badge">Made by different versions of {escape(", ".join(mixed))}</span>' if mixed else ""


def _lede(m: dict, run: dict) -> str:
    seeds = f", mean of {m['n_seeds']} seeds" if m["n_seeds"] > 1 else ""
    return (f"{100 * m['accuracy']:.1f} % of {m['n_clips']} clips of {m['n_subjects']} subjects are recognised{seeds}, "
            f"each clip judged by a network that has never seen its subject. Guessing gives {100 * m['chance']:.1f} %, "
            f"always naming the largest class {100 * m['majority']:.1f} %; with the labels shuffled within subjects "
            f"the same predictions do as well with probability p = {m['p_value']:.2g}. "
            f"Reported {RULES[run['selection'][0]]}. List of clips: {run['list'][:lists.SHORT]}.")

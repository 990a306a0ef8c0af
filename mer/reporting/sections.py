"""The page's sections, each a function of the files that it shows; one without content is an empty string."""

import hashlib
from collections.abc import Iterable
from html import escape
from pathlib import Path

from mer import params
from mer.base import environment, knobs, store
from mer.datasets.releases import is_synthetic
from mer.evaluation import measures, predictions
from mer.evaluation import metrics as scores
from mer.evaluation.results import RULES
from mer.reporting import html
from mer.tables.formats import Table

QUALITY = (  # keys of quality.json, what they are, how they are printed
    ("frames", "frames", "{:.0f}"), ("detection_rate", "frames in which dlib finds a face", "{:.2%}"),
    ("upsampled_rate", "of these only after enlarging", "{:.2%}"),
    ("landmark_error_mean", "landmark error against the truth, points 17 to 67, of the inter-ocular distance",
     "{:.4f}"),
    ("landmark_error_p95", "the same, 95th percentile of frames", "{:.4f}"),
    ("landmark_failure_rate", "frames with an error above 10 %", "{:.2%}"),
    ("landmark_jitter_px", "landmark jitter between frames, raw pixels", "{:.3f}"),
    ("flow_epe", "TV-L1 flow, onset to apex: end-point error against the truth, crop pixels", "{:.3f}"),
    ("flow_epe_zero", "zero flow: end-point error against the truth, crop pixels", "{:.3f}"),
    ("flow_epe_active", "TV-L1 flow, the same where the face moves", "{:.3f}"),
    ("flow_epe_zero_active", "zero flow, the same where the face moves", "{:.3f}"),
    ("flow_slope", "share of the true flow that TV-L1 recovers", "{:.2f}"),
    ("flow_magnitude", "mean length of the labelled flow, crop pixels", "{:.3f}"))
PICTURES = {  # pictures of other stages by file name: caption, alt text
    "landmarks": ("Face detection and landmarks",
                  "Histograms of the detector's score and of the landmark error or jitter."),
    "flow_magnitude": ("Length of the labelled flow by class", "Box plots of the mean flow length of clips, by class."),
    "flow_examples": ("TV-L1 flow from onset to apex", "Onset frame, apex frame and flow of one clip of each label, "
                      "beside the true flow where it is known.")}


NO_FACE = ("confusion", "subjects", "curves", "gradients", "rank_scores", "landmarks", "flow_magnitude")
LEFT_OUT = ("{} pictures that show faces of real people are left out; they lie in {}, and report.faces: true shows "
            "them here: pass the page on then only as the agreements of the releases allow.")


def may_show(faces: bool, datasets: Iterable[str]) -> bool:
    """Whether pictures of these datasets' people may stand on a page: real faces only where `faces` (report.faces)."""
    return faces or all(is_synthetic([name]) for name in datasets)


def _faced(paths: Iterable[Path], shown: bool, kind: str = "", anchored: bool = False) -> str:
    """The figures of a folder, without those of faces unless `shown`, and then a word about them; `anchored`: links
    lead to them by their names."""
    found = list(paths)
    kept = [path for path in found if shown or path.stem in NO_FACE]
    lost = [path for path in found if path not in kept]
    words = LEFT_OUT.format(len(lost), lost[0].parent.as_posix()) if lost else ""
    figures = (html.figure(path, anchor=path.stem if anchored else "") for path in kept)
    return html.figures(figures, kind) + (html.paragraph(words, "quiet") if words else "")


def headline(m: dict) -> str:
    """The scores that have an `about`, as cards with intervals and chance; `m`: metrics.json."""
    chance = {"accuracy": m["chance"], "uar": m["chance"]}  # of uniform guesses; F1's depends on the class sizes
    cards = "".join(html.card(score.words[0].upper() + score.words[1:], score.about, m[score.key],
                              m.get(f"{score.key}_low"), m.get(f"{score.key}_high"), chance.get(score.key))
                    for score in measures.SCORES if score.about)
    return html.section("result", "Result", f'<div class="cards">{cards}</div>', html.paragraph(
        "TP, FP and FN are summed over all folds before a score is computed. Intervals: subjects resampled. "
        f"Mean over subjects of their accuracies: {100 * m['subject_accuracy']:.1f} %.", "quiet"))


def beside(m: dict, run: dict, folds: str = "") -> str:
    """What the headline must be compared with: other rules, the pretrained network, constants; each seed; `folds`."""
    rows = [(f"{rule}: {RULES[rule]}", _percent(m[f"{rule}_accuracy"]), _percent(m[f"{rule}_uf1"]))
            for rule in run["selection"]]
    if "zero_shot_accuracy" in m:
        rows.append((f"before any fold: pretrained on {', '.join(run['pretrained_on'])} only",
                     _percent(m["zero_shot_accuracy"]), _percent(m["zero_shot_uf1"])))
    rows += [("always the largest class", _percent(m["majority"]), ""), ("chance", _percent(m["chance"]), "")]
    parts = [html.grid("The headline beside what it must be compared with (percent)", ("network", "accuracy", "UF1"),
                       rows, marked=0)]
    if "oracle_excess" in m:
        parts.append(html.paragraph("Choosing the step on the tested subject itself changes the accuracy by "
                                    f"{100 * m['oracle_excess']:+.1f} points, which no user would ever see.", "quiet"))
    if "parts" in run:
        parts.append(html.grid("Each test set of the release (percent)", ("set", "clips", "UF1", "UAR", "accuracy"), [
            (name, m[f"{name}_clips"], *(_percent(m[f"{name}_{key}"]) for key in ("uf1", "uar", "accuracy")))
            for name in run["parts"]]))
    if m["n_seeds"] > 1:
        rows = [(k, _percent(m[f"seed{k}_accuracy"]), _percent(m[f"seed{k}_uf1"]), f"{m[f'seed{k}_p_value']:.2g}")
                for k in run["seeds"]]
        rows.append(("mean ± sd", *(f"{100 * m[f'{key}_mean']:.1f} ± {100 * m[f'{key}_sd']:.1f}"
                                    for key in ("accuracy", "uf1")), ""))
        parts.append(html.grid("Each seed, all folds (percent)", ("seed", "accuracy", "UF1", "p"), rows))
    return html.section("beside", "Beside it", *parts, folds)


def papers(tables: list[Table]) -> str:
    """The papers' tables, ours beside what is published."""
    return html.section("tables", "Published and ours", *map(html.paper_table, tables))


def classes(m: dict, run: dict, reports: Path) -> str:
    """Recall, precision and F1 of each class under the first selection, with confusion matrix and subjects."""
    t = predictions.read(reports / "predictions.csv").where(run["selection"][0])
    cm = scores.confusion(t.label, t.predicted, t.classes)
    columns = [score(cm) for score in (scores.recall, scores.precision, scores.f1)]
    rows = [(name, m[f"clips_{name}"], *(_percent(column[j]) for column in columns))
            for j, name in enumerate(run["class_names"])]
    return html.section("classes", "Classes and subjects",
                        html.grid("Each class (percent)", ("class", "clips", "recall", "precision", "F1"), rows),
                        _drawn(reports, "confusion.png", "subjects.png", "probabilities.png"))


def learning(run: dict, reports: Path) -> str:
    """How long a fold is trained (data/folds/summary.json), and the curves of losses and gradients, if drawn."""
    least, most = run["steps"]
    words = f"{most} steps a fold." if least == most else f"{least} to {most} steps a fold, by its training clips."
    return html.section("learning", "Training", html.paragraph(words, "quiet") if most else "",
                        _drawn(reports, "curves.png", "gradients.png"))


def auxiliary(m: dict, reports: Path, shown: bool = False) -> str:
    """What the models measure of their own tasks, and where Grad-CAM lies, each beside what costs nothing; pictures,
    those of faces only where `shown`."""
    said = {None: "", True: "better than the constant", False: "no better than the constant"}
    known = {measure.key: measure for measure in (*measures.of_models(), *measures.HEAT) if measure.key in m}
    rivals, rows = {measure.rival for measure in known.values()}, []
    for measure in known.values():
        if measure.key not in rivals:
            beside = measures.rival(measure, m)
            rows.append((measure.title, measure.shown(m[measure.key]),
                         f"{beside[0]} {measure.shown(beside[1])}" if beside else "", said[measures.beats(measure, m)]))
    title = "Auxiliary tasks" if any(measure.key in m for measure in measures.of_models()) or not rows else (
        "Where the network looks")
    pictures = sorted((reports / "plots/results").glob("clip_*.png"))
    return html.section("auxiliary", title, html.grid(
        "Measured on tested subjects, beside doing nothing", ("measure", "network", "constant", "verdict"), rows),
        _drawn(reports, "rank_scores.png"), _faced(pictures, shown, "three", anchored=True))


def pretraining(reports: Path, model: str, shown: bool = False) -> str:
    """What pretraining learned, by LEARNED and TOLD of the model's config.py; losses; curves, pictures, those of faces
    only where `shown`."""
    numbers, config = store.read_json(reports / "pretraining.json"), params.CONFIGS[model]
    parts = _learned(numbers, [entry for entry in getattr(config, "LEARNED", ()) if entry[0] in numbers])
    parts += [html.paragraph(words.format(**numbers), "quiet")
              for key, words in getattr(config, "TOLD", {}).items() if key in numbers]
    rows = [(key.removeprefix("loss_"), f"{value:.4g}") for key, value in numbers.items() if key.startswith("loss_")]
    parts.append(html.grid(f"Losses, unweighted, mean of the last tenth of {numbers['steps']} steps",
                           ("loss", "value"), rows))
    folder = reports / "plots/pretraining"
    curves = [path for path in (folder / "curves.png", folder / "gradients.png") if path.exists()]
    return html.section("pretraining", "Pretraining", *parts, html.figures(map(html.figure, curves)),
                        _faced(sorted(folder.glob("reconstruction_*.png")), shown, "three"))


def _learned(numbers: dict, entries: list[tuple[str, str, str, str]]) -> list[str]:
    """A table of the errors beside the first, which is the network's, and in words what each says."""
    if not entries:
        return []
    first = numbers[entries[0][0]]
    more = {key: 100 * (numbers[key] / first - 1) for key, *_ in entries}
    rows = [(about, f"{numbers[key]:.4f}", f"{more[key]:+.1f} %" if entry else "")
            for entry, (key, about, *_) in enumerate(entries)]
    words = [above if more[key] > 1 else below for key, _, above, below in entries[1:]]
    return [html.grid("The later frame's latent, estimated on clips of the sources that were not trained on",
                      ("estimated by", "mean L1 error", "against the network"), rows, marked=0),
            html.paragraph(" ".join(words), "quiet")]


def labels(reports: Path, faces: bool = False) -> str:
    """quality.json (flat: <dataset>.<key>) and the pictures of the label stages; of real faces only where `faces`."""
    path, parts = reports / "quality.json", []
    if path.exists():
        q = store.read_json(path)
        names = list(dict.fromkeys(key.split(".", 1)[0] for key in q))
        rows = [(about, *(form.format(q[f"{name}.{key}"]) if f"{name}.{key}" in q else "" for name in names))
                for key, about, form in QUALITY if any(f"{name}.{key}" in q for name in names)]
        parts.append(html.grid("Quality of the labels that training sees", ("", *names), rows))
    found = sorted((reports / "plots/labels").rglob("*.png"), key=lambda path: (path.name, path.as_posix()))
    kept = [path for path in found if path.stem in NO_FACE or may_show(faces, [path.parent.name])]
    words = LEFT_OUT.format(len(found) - len(kept), (reports / "plots/labels").as_posix())
    return html.section("labels", "Labels", *parts, html.figures(html.figure(path, _about(path)) for path in kept),
                        html.paragraph(words, "quiet") if len(kept) < len(found) else "")


def releases(reports: Path, parameters: dict) -> str:
    """What was found in data/raw, every clip that was left out with the reason, and what synthetic faces look like."""
    names = [*parameters["datasets"], *parameters["pretrain"]["sources"]]
    rows, lost = [], []
    path = reports / "plots/labels/data.json"
    told = store.read_json(path)["datasets"] if path.exists() else {}
    for name in (name for name in names if name in told):
        s = told[name]["index"]
        rows.append((name, "tested" if name in parameters["datasets"] else "pretraining", s["release"], s["clips"],
                     s["subjects"], ", ".join(f"{label} {count}" for label, count in s["labels"].items())))
        lost += [(entry["clip_id"], name, "index", entry["reason"]) for entry in s["excluded"]]
        lost += [(entry["clip_id"], name, entry["stage"], entry["reason"]) for entry in told[name]["excluded"]]
    sheets = html.folded("What the synthetic faces look like", _all_of(reports / "plots/synthetic", "wide")
                         if is_synthetic(names) else "")
    return html.section(
        "data", "Data", html.grid("Releases", ("dataset", "role", "release", "clips", "subjects", "labels"), rows),
        html.grid("Clips left out, and why", ("clip", "dataset", "stage", "reason"), lost)
        or (html.paragraph("No clip was left out.") if rows else ""), sheets)


def settings(parameters: dict, reports: Path, usual: dict[str, object]) -> str:
    """What differs from the profile first; all parameters, but `parallel`, which changes no number, are folded.

    `usual`: what the profile says of each dotted key that it has.
    """
    top = {key: value for key, value in parameters.items() if not isinstance(value, dict)}
    groups = {"run": top} | {key: value for key, value in parameters.items()
                             if isinstance(value, dict) and key != "parallel"}
    boxes = "".join(f"<div><h3>{escape(name)}</h3><dl>" + "".join(
        f"<dt>{escape(key)}</dt><dd>{escape(_plain(value))}</dd>" for key, value in values.items()) + "</dl></div>"
        for name, values in groups.items())
    digest = hashlib.sha256((reports / "predictions.csv").read_bytes()).hexdigest()[:16]
    own = knobs.flatten(parameters)
    of = f"differs from profile {parameters['profile']} of {parameters['model']}"
    changed = [(key, _plain(own[key]), _plain(value)) for key, value in usual.items()
               if key in own and own[key] != value]
    return html.section("parameters", "Parameters", html.grid(
        f"What {of}", ("parameter", "this run", "profile"), changed) or html.paragraph(f"Nothing {of}."),
        html.folded("All parameters", f'<div class="knobs">{boxes}</div>'), html.paragraph(
        f"Every score above is computed from reports/predictions.csv, whose SHA-256 begins with {digest}.", "quiet"))


def made_with(reports: Path) -> str:
    """Which versions of which packages made what, one row a package; a mixture is said first."""
    recorded = recorded_versions(reports)
    rows = []
    for package in dict.fromkeys(package for versions in recorded.values() for package in versions):
        by: dict[str, list[str]] = {}
        for stage, versions in recorded.items():
            if package in versions:
                by.setdefault(versions[package] or "none", []).append(stage)
        several = [f"{version}: {', '.join(stages)}" for version, stages in by.items()]
        rows.append((package, "; ".join(several) if len(by) > 1 else next(iter(by))))
    return html.section("environment", "Environment", mixture(recorded),
                        html.grid("Versions of the packages that decide bytes", ("package", "version"), rows))


def mixture(recorded: environment.MadeWith) -> str:
    """A warning when one package was used in several versions by the stages of this run; else nothing."""
    several = environment.mixed(recorded)
    if not several:
        return ""
    told = "; ".join(f"{package} {' and '.join(by)}" for package, by in several.items())
    return html.paragraph(f"Mixed: the stages of this run were made by different versions ({told}). No other machine "
                          "gives these numbers; `dvc repro -f` in one environment does.", "warning")


def recorded_versions(reports: Path) -> environment.MadeWith:
    """Stage -> versions, of the whole run, from what its stages recorded."""
    return environment.merged(environment.read(reports / environment.RECORD.name, reports / "plots/labels/data.json"))


def _about(path: Path) -> tuple[str, str]:
    """Caption and alt text of a picture that does not bring its own."""
    title, told = PICTURES.get(path.stem, (path.stem.replace("_", " ").capitalize(), ""))
    return f"{title}: {path.parent.name.replace('_', ' ')}", told


def _drawn(reports: Path, *names: str) -> str:
    paths: Iterable[Path] = (reports / "plots/results" / name for name in names)
    return html.figures(html.figure(path) for path in paths if path.exists())


def _all_of(folder: Path, kind: str = "") -> str:
    """All pictures of a folder, the same kind of different datasets beside each other."""
    paths = sorted(folder.rglob("*.png"), key=lambda path: (path.name, path.as_posix()))
    return html.figures((html.figure(path, _about(path)) for path in paths), kind)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _plain(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "default"}[value]
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple | list) else str(value)

"""`python -m mer.export`: a finished run's networks as safetensors, with a model card and all that rebuilds them.

The folder holds one .safetensors file a network, config.json (parameters, classes, who was held out) and README.md, the
model card. `python -m mer.predict CLIP --run FOLDER` applies it; in Python see mer/runs/README.md.
"""

import argparse
import json
import subprocess
from pathlib import Path

from mer.base import store
from mer.base.command import prog
from mer.base.errors import MerError, main
from mer.base.terminal import counted
from mer.datasets.clips import dataset_of
from mer.datasets.releases import is_synthetic
from mer.evaluation import measures
from mer.evaluation.protocols import protocol
from mer.params import of_model
from mer.runs import finished, networks


def write(run: finished.Run, chosen: tuple[finished.Network, ...], out: Path) -> list[Path]:
    """Write weights, config.json and the model card to `out`; returns the weight files.

    Raises:
        MerError: the folder holds something else, or the run has no reports/metrics.json.
    """
    try:
        from safetensors.torch import save
    except ImportError:
        raise MerError("safetensors is not installed; run `pip install safetensors`") from None

    if out.is_dir() and any(out.iterdir()) and not (out / finished.CONFIG).is_file():
        raise MerError(f"{out}: holds other files; name an empty or a new folder by --out")
    if run.exported:
        raise MerError(f"{run.folder}: already an export; copy the folder")
    metrics = run.metrics
    (out / finished.CONFIG).unlink(missing_ok=True)  # written last: what marks an export is there when it is whole
    for old in out.glob("*.safetensors"):
        old.unlink()
    files = []
    for network in chosen:
        state = networks.load(run, network).state_dict()
        path = out / f"seed{network.seed}_{network.fold.replace('/', '_')}.safetensors"
        store.write_bytes(path, save({name: value.contiguous() for name, value in state.items()},
                                     {"format": "pt"}))  # several entries would stand in random order
        files.append(path)
    config = networks.describe(run, chosen, commit(run.folder), files, numbers(run, metrics))
    store.write_text(out / "README.md", card(run, chosen, config))
    store.write_json(out / finished.CONFIG, config)
    return files


def numbers(run: finished.Run, metrics: dict) -> dict[str, float]:
    """What metrics.json says of these networks: the headline's scores, or where that is another step's, `last`'s."""
    if run.about["selection"][0] == "last":
        keys = [f"{score.key}{end}" for score in measures.SCORES for end in ("", "_low", "_high")] + ["p_value"]
        found = {key: metrics[key] for key in keys if key in metrics}
    else:
        found = {key: metrics[f"last_{key}"] for key in ("accuracy", "uf1") if f"last_{key}" in metrics}
    return found | {key: metrics[key] for key in ("chance", "majority", "n_clips", "n_subjects", "n_seeds")}


def commit(root: Path) -> str:
    """The Git commit of the project, and whether files differ from it; 'unknown' outside a repository."""
    def git(*words: str) -> str | None:
        try:
            made = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True)
        except FileNotFoundError:
            return None
        return made.stdout.strip() if made.returncode == 0 else None

    found = git("rev-parse", "HEAD")
    return found + (" with uncommitted changes" if git("status", "--porcelain") else "") if found else "unknown"


def card(run: finished.Run, chosen: tuple[finished.Network, ...], config: dict) -> str:
    """The model card, Markdown."""
    about, m = run.about, config["metrics"]
    synthetic = is_synthetic(about["datasets"])
    marks = ["**Trained on SYNTHETIC faces: says nothing about real ones.**"] * synthetic
    marks += ["**CONTROL: the training labels were shuffled.**"] * bool(about["shuffle_labels"])
    lines = [
        *front_matter(run, m), f"# {run.title}", "", *(line for mark in marks for line in (mark, "")),
        f"{len(chosen)} network{'s' if len(chosen) > 1 else ''} of the mer pipeline for facial micro-expression "
        "recognition, each trained in one fold. `python -m mer.predict CLIP --run THIS_FOLDER` applies them to a video "
        "or a folder of frames. What comes out are scores of a softmax, **not calibrated probabilities**.", "",
        "## What it was trained on", "",
        f"- model: {about['model']}; profile {about['profile']}; seeds {_list(sorted({n.seed for n in chosen}))}",
        f"- data: {_list(about['datasets'])}, {about['clips']} clips of {len(about['subjects'])} subjects",
        f"- pretraining: {_list(about['pretrained_on']) or 'none'}",
        f"- label set {about['classes']}, classes in the order of the outputs: {_list(run.classes)}",
        f"- protocol: {about['protocol']} ({protocol(about['protocol'])})",
        "- selection rule: the network after the last training step; none was chosen on the subjects it is tested on",
        f"- code: commit {config['commit']} (at the time of the export)", "",
        "## Who was held out", "",
        "A network may be measured on its held-out subjects only. On any subject it was trained on, and for the mean "
        "of several folds' networks on every subject of the data, scores measure nothing.", "",
        "| file | fold | seed | held-out subjects | their clips | recognised after the last step |",
        "|---|---|---|---|---|---|",
        *(f"| {row['file']} | {n.fold} | {n.seed} | {_shown(n.held_out)} | {n.clips} | {n.right} |"
          for n, row in zip(chosen, config["networks"], strict=True)), "",
        "## Metrics" + (" (synthetic faces)" if synthetic else ""), "",
        f"Of the whole run: {m['n_clips']} clips of {m['n_subjects']} subjects, {m['n_seeds']} seed(s), every clip "
        "judged by the network that has not seen its subject, counts pooled over folds. They belong to no single "
        "network, and not to the mean of several.", "",
        "| score | value | 95 % interval (subjects resampled) |", "|---|---|---|",
        *(f"| {score.words} | {m[score.key]:.3f} | {_interval(m, score.key)} |" for score in measures.SCORES
          if score.key in m),
        f"| chance | {m['chance']:.3f} | |", f"| always the largest class | {m['majority']:.3f} | |", ""]
    if "p_value" in m:
        lines += [f"Labels permuted within subjects: p = {m['p_value']:.2g}.", ""]
    lines += ["## Limits", "", *(f"- {line}" for line in limits(run)), "",
              "## Parameters", "", "```", *_knobs(config), "```", ""]
    return "\n".join(lines)


def front_matter(run: finished.Run, m: dict) -> list[str]:
    """What a hub of models reads of a card: YAML between two lines of dashes.

    No licence is claimed for weights that were computed from real faces, of which the release's agreement decides.
    """
    import yaml

    about, synthetic = run.about, is_synthetic(run.about["datasets"])
    result = {"task": {"type": "video-classification", "name": "micro-expression recognition"},
              "dataset": {"type": "+".join(about["datasets"]), "name": " + ".join(about["datasets"])
                          + (" (SYNTHETIC faces)" if synthetic else "")},
              "metrics": [{"type": key, "name": words, "value": round(m[key], 4)} for key, words in (
                  ("accuracy", "accuracy, folds pooled"), ("uf1", "UF1"), ("uar", "UAR")) if key in m]}
    told = {"library_name": "mer", "license": "mit" if synthetic and not _real(run) else "other",
            "pipeline_tag": "video-classification",
            "tags": ["micro-expression", "facial-expression", about["model"], *(["synthetic"] if synthetic else [])],
            "model-index": [{"name": run.title, "results": [result]}]}
    if told["license"] == "other":
        told |= {"license_name": "the-agreements-of-the-datasets"}
    return ["---", *yaml.safe_dump(told, sort_keys=False, width=1000).splitlines(), "---", ""]


def _real(run: finished.Run) -> list[str]:
    """The datasets of real faces that the networks have seen."""
    return [name for name in dict.fromkeys((*run.about["datasets"], *run.about["pretrained_on"]))
            if not is_synthetic([name])]


def limits(run: finished.Run) -> list[str]:
    """What may not be done with the networks, by their data."""
    names, real, told = dict.fromkeys((*run.about["datasets"], *run.about["pretrained_on"])), _real(run), []
    if real:
        told.append(f"{_list(real)}: released for research only, under an agreement that each user signs. Frames, "
                    "crops, flow fields, landmark files and pages with faces made from them must not be passed on. "
                    "This folder holds no picture, but its weights were computed from these faces: read the agreement "
                    "before you pass it on, and name the dataset.")
        told.append("Subjects are named by the release's own codes; they are part of the release.")
    if len(real) < len(names):
        told.append("Synthetic faces are drawn by the project, show nobody, and share one renderer: a network trained "
                    "on them knows nothing of real faces.")
    told += [*of_model(run.params, "limits"),
             "To apply it, dlib's 68-point predictor is needed, trained on iBUG 300-W, whose licence excludes "
             "commercial use.",
             "Expressions are labels of a dataset, not proof of what a person feels: not for decisions about people."]
    return told


def _interval(m: dict, key: str) -> str:
    return f"{m[f'{key}_low']:.3f} to {m[f'{key}_high']:.3f}" if f"{key}_low" in m else "none"


def _list(values) -> str:
    return ", ".join(map(str, values))


def _shown(people: tuple[str, ...]) -> str:
    """The subjects; of many in one dataset (cross-dataset) their number, config.json has them all."""
    if len(people) <= 12:
        return _list(people)
    return f"{len(people)} subjects of {_list(sorted({dataset_of(name) for name in people}))} (config.json)"


def _knobs(config: dict) -> list[str]:
    """The parameters that decide what these networks are, resolved, one a line."""
    flat, wanted = {}, ("landmarks", "align", "sampling", "pretrain", "train", config["run"]["model"])
    for key, value in config["params"].items():
        if not isinstance(value, dict):
            flat[key] = value
        elif key in wanted:
            flat |= {f"{key}.{name}": inner for name, inner in value.items()}
    return [f"{key}: {json.dumps(value)}" for key, value in flat.items()]


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(prog=prog("mer.export"), description=__doc__.splitlines()[0])
    made.add_argument("--run", default=".", metavar="DIR", help="project or its data folder (default .)")
    made.add_argument("--fold", required=True, help="one fold, e.g. casme2/sub01, or all")
    made.add_argument("--seed", type=int, help="the networks of one seed (default: of all)")
    made.add_argument("--out", type=Path, metavar="DIR", help="folder to write (default export/<model>_<fold>)")
    return made


def run() -> None:
    """Write the folder of the chosen networks.

    Raises:
        MerError: as `open_run`, `choose` and `write`.
    """
    asked = parser().parse_args()
    experiment = finished.open_run(asked.run)
    chosen = networks.choose(experiment, asked.fold, asked.seed)
    out = asked.out or Path("export") / f"{experiment.about['model']}_{asked.fold.replace('/', '_')}"
    files = write(experiment, chosen, out)
    size = sum(path.stat().st_size for path in files) / 1e6
    print(f"export: {counted(len(files), 'network')}, {size:.1f} MB in {out.as_posix()}; read "
          f"{out.as_posix()}/README.md before you pass it on")


if __name__ == "__main__":
    main(run)

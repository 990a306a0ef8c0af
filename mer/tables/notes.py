"""The notes under a filled table: what a reader must know about each run of which a number stands in it."""

from mer.datasets.releases import is_synthetic
from mer.evaluation import measures
from mer.params import CONFIGS
from mer.runs.finished import Run
from mer.tables.rows import departures, differing


def describe(run: Run, metrics: list[str], budget: dict[str, object]) -> str:
    """What a reader must know about a run's numbers of these metrics, in one sentence; `budget`: the paper's."""
    p, m = run.parameters, run.metrics
    datasets = list(p["datasets"])
    words = ["SYNTHETIC faces, not the paper's data" if is_synthetic(datasets) else "", " + ".join(datasets),
             f"N = {m['n_clips']:g} clips of {m['n_subjects']:g} subjects", f"label set {p['classes']}",
             f"list {run.clip_list}" if run.clip_list else "",
             f"selection {p['selection'][0]}", f"seeds {', '.join(map(str, p['seeds']))}",
             f"profile {p['profile']}", _pretraining(p),
             _of_model(p, "note", ""),
             f"budget not the paper's: {'; '.join(departures(budget, p))}" if differing(budget, p) else "",
             f"accuracy sd over seeds {100 * m['accuracy_sd']:.1f}" if "accuracy_sd" in m else "",
             "CONTROL: training labels shuffled" if p.get("shuffle_labels") else "",
             *_rivals(metrics, m),
             f"commit {run.label}" if run.label else "",
             "in brackets the 95 % interval, subjects resampled" if f"{metrics[0]}_low" in m else ""]
    return ", ".join(word for word in words if word)


def _rivals(metrics: list[str], m: dict[str, float]) -> list[str]:
    """What costs nothing, for each of the metrics that has such a rival: `zero flow 0.097 px`."""
    known = measures.every()
    found = {key: measures.rival(known[key], m) for key in metrics if key in known and key in m}
    return [f"{beside[0]} {known[key].shown(beside[1])} {known[key].unit.split(' of ')[0]}".rstrip()
            for key, beside in found.items() if beside]


def _pretraining(p: dict[str, object]) -> str:
    if "pretrain.sources" not in p:
        return ""
    budget = p["pretrain.steps"] or p.get("pretrain.epochs")
    done = p["pretrain.sources"] and budget and _of_model(p, "pretrains", True)
    drawn = " (RENDERED faces)" if is_synthetic(list(p["pretrain.sources"])) else ""
    return f"pretrained on {' + '.join(p['pretrain.sources'])}{drawn}" if done else "not pretrained"


def _of_model(p: dict[str, object], name: str, usual):
    """What the function `name` of the config.py of the run's model says of its flat parameters, else the usual."""
    return getattr(CONFIGS[p["model"]], name, lambda p: usual)(p)


class Marks:
    """Small letters for the runs of a table, in order of appearance, and the notes that explain them."""

    def __init__(self, metrics: list[str], budget: dict[str, object]):
        self.metrics, self.budget, self.letters, self.notes = metrics, budget, {}, []

    def of(self, run: Run) -> str:
        """The run's letter, its note written where it is new."""
        if id(run) not in self.letters:
            self.letters[id(run)] = chr(ord("a") + len(self.letters)) if len(self.letters) < 26 else (
                f"r{len(self.letters) + 1}")
            self.notes.append(f"({self.letters[id(run)]}) {describe(run, self.metrics, self.budget)}")
        return self.letters[id(run)]

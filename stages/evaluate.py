"""evaluate: the folds' prediction tables -> reports/metrics.json, details.json, predictions.csv, plots/results.

Pretraining's own numbers go to reports/pretraining.json (here, since a metrics file that Git keeps would take the run
cache from the stage that writes it).
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from mer import params
from mer.base import environment, store
from mer.base.errors import main
from mer.datasets.releases import is_synthetic
from mer.evaluation import grad_cam, predictions, results
from mer.reporting import clips_drawn, gradient_plots, plots, score_plots

DATA, REPORTS = Path("data"), Path("reports")


def run() -> None:
    """Write what the head of this file names; a wrong params.yaml is a MerError before any work."""
    p = params.load()
    folds = DATA / "folds"
    summary = store.read_json(folds / "summary.json")
    environment.tell("evaluate", [summary])
    found = sorted(folds.glob("*/*/predictions.csv"))
    table = predictions.of_folds(folds, found, summary["seeds"])
    before = predictions.read(folds / "zero_shot.csv") if (folds / "zero_shot.csv").exists() else None
    before = before and replace(before, selection=np.full(len(before), "zero_shot"))
    names, parts = tuple(summary["class_names"]), summary.get("parts", ())
    numbers = results.summarise(table, names, p.selection, before, bootstrap=p.evaluate.bootstrap,
                                permutations=p.evaluate.permutations, seed=p.evaluate.seed, parts=parts)
    last = table.where("last")
    compared = grad_cam.compare(last, DATA, p.train.crop)
    numbers |= grad_cam.summary(compared, p.evaluate.bootstrap, p.evaluate.seed)
    results.write(REPORTS, numbers)
    store.write_json(REPORTS / "clips.json", {"sha256": summary["list"], "clips": summary["clips"]})
    store.write_json(environment.RECORD, {"made_with": environment.made_with("evaluate", "", summary)})
    store.write_json(REPORTS / "pretraining.json", store.read_json(DATA / "pretrained/summary.json")["numbers"])
    predictions.write(REPORTS / "predictions.csv", predictions.concat([table, before] if before else [table]))

    out, head, synthetic = REPORTS / "plots/results", table.where(p.selection[0]), is_synthetic(p.datasets)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    plots.confusion_matrix(head, names, out, synthetic)
    plots.subject_bars(head, out, synthetic)
    score_plots.draw(head, names, out, synthetic)
    gradient_plots.curves([path.parent for path in found], out, synthetic)
    clips_drawn.draw(p.model, last, DATA, out, p.evaluate.pictures, synthetic, crop=p.train.crop,
                  sampling={"t": p.sampling.t, "span": p.sampling.span, "seed": p.sampling.seed}, names=names,
                  compared=compared, cfg=getattr(p, p.model))
    print("\n".join([results.line(numbers), *results.part_lines(numbers, parts)]))


if __name__ == "__main__":
    main(run)

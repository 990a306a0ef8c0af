"""evaluate: the folds' prediction tables -> reports/metrics.json, reports/predictions.csv, reports/plots/results."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from mer import params, store
from mer.errors import main
from mer.evaluation import predictions, results
from mer.reporting import drawings, plots

DATA, REPORTS = Path("data"), Path("reports")


def run() -> None:
    p = params.load()
    folds = DATA / "folds"
    summary = store.read_json(folds / "summary.json")
    found = sorted(folds.glob("*/*/predictions.csv"))
    table = predictions.concat(map(predictions.read, found), source=folds.as_posix())
    before = None
    if (folds / "zero_shot.csv").exists():
        before = predictions.read(folds / "zero_shot.csv")
        before = replace(before, selection=np.full(len(before), "zero_shot"))

    names = tuple(summary["class_names"])
    numbers = results.summarise(table, names, p.selection, before, bootstrap=p.evaluate.bootstrap,
                                permutations=p.evaluate.permutations, seed=p.evaluate.seed)
    store.write_json(REPORTS / "metrics.json", numbers)
    predictions.write(REPORTS / "predictions.csv", predictions.concat([table, before] if before else [table]))

    out, head, synthetic = REPORTS / "plots/results", table.where(p.selection[0]), plots.is_synthetic(p.datasets)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    plots.confusion_matrix(head, names, out, synthetic)
    plots.subject_bars(head, out, synthetic)
    plots.training_curves([path.with_name("log.csv") for path in found], out, synthetic)
    drawings.draw(table.where("last"), DATA, out, p.evaluate.pictures, synthetic, crop=p.train.crop,
                  sampling={"t": p.sampling.t, "span": p.sampling.span, "seed": p.sampling.seed})
    print(results.line(numbers))


if __name__ == "__main__":
    main(run)

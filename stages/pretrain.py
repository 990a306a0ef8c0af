"""pretrain: macro-expression releases -> data/pretrained/<seed>/{model.pt, log.csv, diagnostics.json}.

Losses and reconstructions are drawn to reports/plots/pretraining/. Without sources both are empty stores.
"""

import shutil
from pathlib import Path

from mer import params
from mer.base import cost, environment, graph, store
from mer.base.errors import main
from mer.base.scratch import clear_scratch, scratch_dir
from mer.datasets.class_sets import label_set
from mer.datasets.releases import is_synthetic

DATA, OUT, PLOTS = Path("data"), Path("data/pretrained"), Path("reports/plots/pretraining")


def run() -> None:
    """Write what the head of this file names; a wrong params.yaml is a MerError before any work."""
    p = params.load()
    from mer.reporting import pretraining_plots
    from mer.training import engine, entries, fleet, folds, pretrain  # slow to import: after the check
    from mer.training import task as tasks

    shutil.rmtree(PLOTS, ignore_errors=True)
    PLOTS.mkdir(parents=True)
    summary = {"sources": list(p.pretrain.sources), "seeds": list(p.seeds)}
    if (task := tasks.pretraining(p)) is None:
        print("pretrain: these settings leave it out; every fold starts from random weights")
        store.write_json(OUT / "summary.json", {**summary, "classes": [], "clips": 0, "numbers": {"steps": 0}})
        cost.nothing("pretrain")
        store.write_csv(PLOTS / "losses.csv", ["step", "total"], [])  # `dvc plots show` looks for it
        return
    device = fleet.pick_device(p)
    sets = {name: label_set(name, p.pretrain.classes, DATA / "aligned") for name in p.pretrain.sources}
    entries.refuse_known_faces(DATA, p.pretrain.sources, p.datasets)
    clips, classes = entries.collect(DATA, sets, unlabelled=not task.labelled)
    before = environment.reused("pretrain", p.pretrain.sources, DATA / "latents")
    decides = graph.inputs("pretrain", p, of=p.pretrain.sources, besides=("datasets", "seeds"))
    scratch = scratch_dir("pretrain", decides, device, model=p.model)
    cost.begin("pretrain", decides, device, p.seeds, scratch=scratch, model=p.model)
    plan = folds.Plan(p, DATA, clips, classes, None, scratch, device)
    print(f"pretrain: {len(clips)} clips of {', '.join(p.pretrain.sources)}, {pretrain.steps(plan)} steps on {device}")
    fleet.run(pretrain.run_seed, pretrain.jobs(plan), plan, desc="pretrain", unit="seed", pretraining=True)
    made = {seed: scratch / str(seed) for seed in p.seeds}
    for seed, folder in made.items():
        store.link_folder(folder, OUT / str(seed), folds.STATES, "examples.h5")  # faces, which are drawn below
    told = {"numbers": {"steps": pretrain.steps(plan), **pretrain.summarise(made)},
            "made_with": environment.made_with("pretrain", "", *before, processor=engine.processor(device))}
    store.write_json(OUT / "summary.json", {**summary, "classes": list(classes), "clips": len(clips), **told})
    pretraining_plots.draw(list(made.values()), PLOTS, is_synthetic(p.pretrain.sources), p.model)
    cost.end("pretrain", (folder / "log.csv" for folder in made.values()))
    # kept: `data/aligned` holds all datasets, so DVC runs this again when only the micro-expression release changes
    clear_scratch("pretrain", keep=scratch)


if __name__ == "__main__":
    main(run)

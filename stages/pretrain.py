"""pretrain: macro-expression releases -> data/pretrained/<seed>/{model.pt, log.csv}; without sources an empty store."""

import shutil
from pathlib import Path

from mer import parallel, params, store
from mer.datasets.labels import label_set
from mer.errors import main

DATA, OUT = Path("data"), Path("data/pretrained")


def run() -> None:
    p = params.load()
    from mer.training import engine, entries, folds, pretrain, tasks  # slow to import: after the check

    summary = {"sources": list(p.pretrain.sources), "seeds": list(p.seeds)}
    if tasks.pretraining(p) is None:
        print("pretrain: these settings leave it out; every fold starts from random weights")
        store.write_json(OUT / "summary.json", {**summary, "classes": [], "clips": 0})
        return
    device = engine.pick_device(p.train.device)
    sets = {name: label_set(name, p.pretrain.classes, DATA / "aligned") for name in p.pretrain.sources}
    clips, classes = entries.collect(DATA, sets)
    stores = [DATA / stage / name for stage in ("aligned", "flow") for name in p.pretrain.sources]
    stores += [DATA / "latents"] if params.needs_latents(p) else []
    scratch = parallel.scratch_dir(
        "pretrain", parallel.code("mer.training", "mer.models", "mer.evaluation"), parallel.digest(*stores), classes,
        p.model, getattr(p, p.model), p.pretrain, p.lambda_f, p.lambda_m, p.lambda_d, p.lambda_r, p.lr, p.sampling,
        p.train.precision, p.shuffle_labels, device)
    plan = folds.Plan(p, DATA, clips, classes, None, scratch, device)
    print(f"pretrain: {len(clips)} clips of {', '.join(p.pretrain.sources)}, {p.pretrain.steps} steps on {device}")
    for seed in p.seeds:
        pretrain.run(plan, seed, scratch)
        shutil.copytree(scratch / str(seed), OUT / str(seed), dirs_exist_ok=True)
    store.write_json(OUT / "summary.json", {**summary, "classes": list(classes), "clips": len(clips)})
    # kept: `data/aligned` and its like are shared by all datasets, so DVC runs this stage again when only the
    # micro-expression release changes, and then nothing has to be trained
    parallel.clear_scratch("pretrain", keep=scratch)


if __name__ == "__main__":
    main(run)

"""train: leave-one-subject-out folds -> data/folds/<seed>/<subject>/, and the pretrained network's own predictions."""

from pathlib import Path

from mer import params
from mer.base import cost, environment, graph, store
from mer.base.errors import main
from mer.base.scratch import clear_scratch, scratch_dir
from mer.datasets import lists
from mer.datasets.class_sets import label_set

DATA, OUT = Path("data"), Path("data/folds")


def run() -> None:
    """Write what the head of this file names; a wrong params.yaml is a MerError before any work."""
    p = params.load()
    from mer.evaluation import predictions
    from mer.training import engine, entries, fleet, folds  # slow to import: after the check
    from mer.training import task as tasks

    device = fleet.pick_device(p)
    sets = {name: label_set(name, p.classes, DATA / "aligned") for name in p.datasets}
    clips, classes = entries.collect(DATA, sets)
    before = tasks.pretraining(p)
    earlier = environment.reused("train", p.datasets, DATA / "latents", DATA / "pretrained")
    decides = graph.inputs("train", p, of=p.datasets, besides=("seeds", "train.workers"))
    scratch = scratch_dir("train", decides, device, model=p.model)
    cost.begin("train", decides, device, p.seeds, scratch=scratch, model=p.model)
    plan = folds.Plan(p, DATA, clips, classes, DATA / "pretrained" if before else None, scratch, device)
    jobs = [(seed, fold) for seed in p.seeds for fold in folds.split(plan)]
    todo = [(fold.name, (plan, seed, fold)) for seed, fold in jobs if not folds.is_done(plan, seed, fold)]
    fleet.run(folds.run_fold, todo, plan, desc="train", unit="fold", initial=folds.report_reuse(plan, jobs))
    if before and before.classifies:
        source = label_set(p.pretrain.sources[0], p.pretrain.classes, DATA / "aligned")
        groups = entries.groups(source, next(iter(sets.values())))
        tables = [folds.zero_shot(plan, groups, seed) for seed in p.seeds]
        predictions.write(OUT / "zero_shot.csv", predictions.concat(tables))
    store.write_csv(OUT / "folds.csv", ["fold", "clip_id", "subject"], [
        [fold.name, clips[i].clip.clip_id, clips[i].subject] for fold in folds.split(plan) for i in fold.test])
    made = [folds.folder(plan, seed, fold) for seed, fold in jobs]
    for one in made:
        store.link_folder(one, OUT / one.relative_to(scratch), folds.STATES)
    store.write_json(OUT / "summary.json", {
        "model": p.model, "datasets": list(p.datasets), "classes": p.classes, "class_names": list(classes),
        "protocol": p.protocol, "profile": p.profile, "seeds": list(p.seeds), "selection": list(p.selection),
        "list": lists.digest(lists.of_clip(entry.clip, classes[entry.label]) for entry in clips),
        "clips": len(clips), "subjects": sorted({entry.subject for entry in clips}), **folds.parts(plan),
        "pretrained_on": list(p.pretrain.sources) if before else [], "crop": p.train.crop, "steps": folds.steps(plan),
        "shuffle_labels": p.shuffle_labels, "without_apex": sum(e.clip.apex is None for e in clips),
        "made_with": environment.made_with("train", "", *earlier, processor=engine.processor(device))})
    cost.end("train", (done / "log.csv" for done in made), networks=1 + ("inner" in p.selection))
    clear_scratch("train")


if __name__ == "__main__":
    main(run)

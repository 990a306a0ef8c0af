"""check: all of params.yaml, before anything is made -> data/check/.

`passed` never changes: the first stages wait for it. labels/D.json names the model, the label stores of the dataset D
that it reads, and of how many sampling sets; readers/D.json what reads D: an edit of one reader, or of its label sets,
indexes its own release again.
"""

import argparse
import shutil
from pathlib import Path

from mer import params
from mer.base import environment, store
from mer.base.errors import main
from mer.datasets import releases

OUT = Path("data/check")


def run() -> None:
    """Refuse a params.yaml that makes no sense (MerError), else write data/check."""
    argparse.ArgumentParser(prog="python -m stages.check", description=__doc__).parse_args()
    p = params.load()
    environment.tell("check", environment.read(environment.RECORD))
    write(p)


def write(p: params.Params) -> None:
    """The files of data/check for parameters that are checked."""
    # without latents, which are training's own: flow and dynamic images would be asked for again with them
    labels = [name for name in params.of_model(p, "labels") if name != "latents"]
    draws = p.pretrain.steps or p.pretrain.epochs  # else pretraining reads nothing of its sources
    for folder in ("labels", "readers"):
        shutil.rmtree(OUT / folder, ignore_errors=True)
    for name in p.datasets + p.pretrain.sources:
        macro = name in p.pretrain.sources
        store.write_json(OUT / "labels" / f"{name}.json", {
            "model": p.model, "labels": [] if macro and not draws else labels,
            "sets": (macro and p.pretrain.sets) or p.sampling.sets})
        store.write_json(OUT / "readers" / f"{name}.json", releases.described(name))
    store.write_text(OUT / "passed", "params.yaml makes sense\n")


if __name__ == "__main__":
    main(run)

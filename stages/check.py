"""check: all of params.yaml, before anything is made -> data/check/.

`passed` never changes: the first stages wait for it. labels.json names the model and the label stores that it reads,
readers/D.json what reads the dataset D: an edit of one reader, or of its label sets, indexes its own release again.
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
    store.write_json(OUT / "labels.json", {"model": p.model, "labels": labels})
    shutil.rmtree(OUT / "readers", ignore_errors=True)
    for name in p.datasets + p.pretrain.sources:
        store.write_json(OUT / "readers" / f"{name}.json", releases.described(name))
    store.write_text(OUT / "passed", "params.yaml makes sense\n")


if __name__ == "__main__":
    main(run)

"""synthesize: the embedded releases of rendered faces -> data/raw/synthetic (micro), data/raw/synthetic_macro."""

import argparse

from mer import params
from mer.datasets.releases import raw_root
from mer.datasets.synthetic import release
from mer.errors import main


def run() -> None:
    argparse.ArgumentParser(prog="python -m stages.synthesize", description=__doc__).parse_args()
    p = params.load()
    roots = {"micro": raw_root("synthetic"), "macro": raw_root("synthetic_macro")}
    release.make(p.synthetic, (roots["micro"], roots["macro"]), workers=p.parallel.workers, backend=p.parallel.backend)


if __name__ == "__main__":
    main(run)

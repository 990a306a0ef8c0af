"""synthesize: the embedded releases of rendered faces -> data/raw/synthetic (micro), data/raw/synthetic_macro.

Their contact sheets go to reports/plots/synthetic.
"""

import argparse
from pathlib import Path

from mer.base import cost, environment, knobs
from mer.base.errors import main
from mer.datasets.clips import raw_root
from mer.datasets.sections import Synthetic
from mer.datasets.synthetic import release
from mer.reporting import contact_sheet


def run() -> None:
    """Write what the head of this file names; a wrong params.yaml is a MerError before any work."""
    argparse.ArgumentParser(prog="python -m stages.synthesize", description=__doc__).parse_args()
    p = knobs.sections(synthetic=Synthetic, parallel=knobs.Parallel)
    environment.tell("synthesize", environment.read(environment.RECORD))
    roots = {"micro": raw_root("synthetic"), "macro": raw_root("synthetic_macro")}
    release.make(p.synthetic, (roots["micro"], roots["macro"]), on=p.parallel)
    contact_sheet.write(roots, Path("reports/plots/synthetic"))
    cost.end("synthesize")


if __name__ == "__main__":
    main(run)

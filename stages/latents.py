"""latents: MA2MI's autoencoder and the latents of all frames it reconstructs -> data/latents/.

conv_ae is trained here, on the frames of pretrain.sources; sd_vae is read from ma2mi.sd_vae. Where the settings need no
latents, an empty store is written.
"""

import argparse
from pathlib import Path

from mer import params
from mer.base import cost, environment, graph, store
from mer.base.errors import main
from mer.base.scratch import clear_scratch, scratch_dir
from mer.models.ma2mi.config import needs_latents

DATA, OUT = Path("data"), Path("data/latents")


def run() -> None:
    """Write what the head of this file names; a wrong params.yaml is a MerError before any work."""
    argparse.ArgumentParser(prog="python -m stages.latents", description=__doc__).parse_args()
    p = params.load()
    cfg, sources = p.ma2mi, p.pretrain.sources
    if not needs_latents(p):
        print("latents: these settings use none, an empty store is written")
        store.write_json(OUT / "summary.json", {"autoencoder": None, "clips": 0})
        cost.nothing("latents")
        return
    from mer.models.ma2mi import autoencoder_training, encoding, pairs  # slow to import: after the check
    from mer.training import engine  # slow to import: after the check

    device = engine.pick_device(p.train.device)
    engine.configure(p.pretrain.threads, p.train.precision)
    # fine-tuning that keeps the reconstruction (Table 2) needs the latents of the tested clips too; the autoencoder
    # itself never sees their subjects
    encoded = [*sources, *(p.datasets if cfg.keep_reconstruction else ())]
    before = environment.read(*(DATA / "aligned" / name for name in encoded))
    environment.tell("latents", before)
    decides = graph.inputs("latents", p, of=tuple(encoded)), device
    scratch = scratch_dir("latents", *decides)
    cost.begin("latents", *decides, scratch=scratch)
    summary = {"clips": 0, "frames": 0}
    if cfg.autoencoder == "conv_ae":
        summary |= autoencoder_training.run(p, [DATA / "aligned" / name for name in sources], scratch, OUT, device)
    model, named = pairs.open_autoencoder(cfg, OUT / "autoencoder.pt")
    for name in encoded:
        counts = encoding.encode(model.to(device), DATA, name, OUT, crop=p.pretrain.crop, size=cfg.size)
        summary |= {key: summary[key] + count for key, count in counts.items()}
    store.write_json(OUT / "summary.json", {"autoencoder": named, **summary, "datasets": encoded,
                                          "made_with": environment.made_with("latents", "", *before,
                                                                         processor=engine.processor(device))})
    print(f"latents: {summary['frames']} frames of {summary['clips']} clips of {', '.join(encoded)}, upright and "
          f"mirrored, by {named['kind']} (SHA-256 {named['sha256'][:12]})")
    cost.end("latents")
    clear_scratch("latents")


if __name__ == "__main__":
    main(run)

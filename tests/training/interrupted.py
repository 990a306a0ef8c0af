"""Training that is stopped by Ctrl-C right after its first checkpoint, to be gone on with."""

from contextlib import contextmanager

import pytest

from mer.training import engine


@contextmanager
def at_the_first_checkpoint(monkeypatch):
    """What is run inside must save a checkpoint, and ends there."""
    save = engine.checkpoint.save

    def save_and_stop(path, state):
        save(path, state)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine.checkpoint, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            yield

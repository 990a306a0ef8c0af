"""Finished runs. `mer.runs.open_run` opens one, as `mer.runs.finished` says; imported when it is first used."""


def __getattr__(name: str):
    if name == "open_run":
        from mer.runs.finished import open_run

        return open_run
    raise AttributeError(f"module 'mer.runs' has no attribute {name!r}")

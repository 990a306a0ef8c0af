import sys

if sys.argv[:1] == ["-m"]:  # `python -m mer.COMMAND` or a stage, before its own imports, which take up to a second
    from mer.base.errors import quiet_interrupt

    quiet_interrupt()

from mer.base import portable

portable.cap()  # before numpy or torch is imported by any module of the package


def __getattr__(name: str) -> str:
    if name != "__version__":
        raise AttributeError(f"module 'mer' has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mer")
    except PackageNotFoundError:  # run from its folder, not installed
        return "0+unknown"

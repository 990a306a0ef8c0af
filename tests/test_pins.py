"""pyproject.toml's bounds, and the lock files that .ci/lock makes of it. Files are compared, not what is installed, so
that this also holds in an environment of newer packages; of what is installed only the closure's names count."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXACT = {"torch", "numba", "opencv-contrib-python", "dlib-bin", "face-recognition-models", "numpy", "scipy", "h5py",
         "matplotlib", "pillow", "joblib", "safetensors"}  # what decides a byte of a product
CUDA = re.compile(r"nvidia-|cuda-|triton$")


def requirements() -> dict[str, Requirement]:
    texts = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    for extra in PROJECT["project"]["optional-dependencies"].values():
        texts += extra
    return {canonicalize_name(found.name): found for found in map(Requirement, texts)}


def locked(name: str) -> dict[str, str]:
    """The text of each entry, from its pin to its last hash."""
    entries = re.split(r"\n(?=[a-z0-9])", (ROOT / name).read_text(encoding="utf-8"))[1:]
    return {canonicalize_name(entry.split("==")[0]): entry for entry in entries}


LOCK, CUDA_LOCK = locked("requirements.lock"), locked("requirements-cuda.lock")


def version(entry: str) -> Version:
    return Version(re.match(r"[\w.-]+==([^\s;]+)", entry)[1])


@pytest.mark.parametrize("name", requirements())
def test_bounds(name):
    wanted = requirements()[name].specifier
    operators = {found.operator: Version(found.version) for found in wanted}
    if name in EXACT:
        assert set(operators) == {"=="} and not str(wanted).endswith("*"), "decides bytes: one version"
        return
    assert set(operators) == {">=", "<"}, "a version that works, and the next major one"
    major = version(LOCK[name]).release
    following = (0, major[1] + 1) if major[0] == 0 else (major[0] + 1,)  # below 1.0 the second number is the major one
    assert operators["<"].release == following


def test_the_lock_is_of_this_pyproject():
    assert set(requirements()) >= EXACT
    wrong = {name: str(found.specifier) for name, found in requirements().items()
             if name not in LOCK or version(LOCK[name]) not in found.specifier}
    assert not wrong, f"not what requirements.lock has: {wrong}; run .ci/lock"


def test_every_entry_has_hashes_and_names_no_place():
    for name in ("requirements.lock", "requirements-cuda.lock"):
        entries = locked(name)
        assert all(re.search(r"\\\n    --hash=sha256:[0-9a-f]{64}\b", entry) for entry in entries.values())
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"://|file:|--(index|extra|find)|(^|\s)/\w", text), "a host or a local path"
    assert not [name for name in LOCK if CUDA.match(name)] and all(map(CUDA.match, CUDA_LOCK))


def test_the_lock_covers_what_is_installed():
    """By name: what installed packages want on this system; one of another version than the lock has is left out."""
    missing, seen, walked, queue = {}, set(), 0, [(found, "mer") for found in requirements().values()]
    while queue:
        wanted, parent = queue.pop()
        name = canonicalize_name(wanted.name)
        if name not in LOCK and name not in CUDA_LOCK:
            missing[name] = parent
        for extra in {"", *wanted.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            try:
                installed = importlib.metadata.distribution(wanted.name)
            except importlib.metadata.PackageNotFoundError:
                continue  # an extra of ours, say
            entry = LOCK.get(name) or CUDA_LOCK.get(name)
            if entry is None or Version(installed.version).public != version(entry).public:
                continue
            walked += 1
            queue += [(found, name) for found in map(Requirement, installed.requires or [])
                      if (found.marker.evaluate({"extra": extra}) if found.marker else not extra)]
    if not walked:
        pytest.skip("nothing is installed in the locked version")
    assert not missing, f"not in a lock file: {missing} (the values want the keys); run .ci/lock"


def test_python_versions():
    """Those that .ci/lock and setup.py speak of are those of pyproject.toml."""
    wanted = SpecifierSet(PROJECT["project"]["requires-python"])
    stated = {f"3.{minor}" for minor in range(30) if f"3.{minor}.99" in wanted}
    told = {found[1] for text in PROJECT["project"]["classifiers"] if (found := re.search(r":: (3\.\d+)$", text))}
    assert told == stated
    first, last = min(stated, key=Version), max(stated, key=Version)
    assert f'"{first}", "--generate-hashes"' in " ".join((ROOT / ".ci/lock").read_text(encoding="utf-8").split())
    for name in ("requirements.lock", "README.md"):
        assert f"Python {first} to {last}" in (ROOT / name).read_text(encoding="utf-8")
    found = re.search(r're\.search\(r\'(.*?)\', Path', (ROOT / "setup.py").read_text(encoding="utf-8"))
    assert re.search(found[1], (ROOT / "pyproject.toml").read_text(encoding="utf-8"))[1] == \
        PROJECT["project"]["requires-python"]

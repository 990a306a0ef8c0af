"""Every command and every Python line of the documents, as a new user would type them.

Quick: programs, modules, options, keys of params.yaml and paths exist. Slow: they run, in order, in a finished
miniature. What is neither run nor resolved stands in `NOT_RUN` with the reason; a command of no kind fails.
"""

import ast
import contextlib
import fnmatch
import importlib.util
import itertools
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import product
from pathlib import Path

import cv2
import pytest
import yaml
from pipeline import DVC, ROOT, dvc, finished, run
from raw_releases.micro import write_casme2

from mer import params

PROGRAMS = ("python", "dvc", "git", "pip", "pytest", "mer", "dask")
RUN = ("python -m mer.", "dvc metrics diff", "dvc plots diff", "dvc dag", "dvc fetch", "dvc add ", "git add ",
       "git commit ")
NOT_RUN = {
    "pip install -e .": ".ci/run does, in a fresh environment",
    "pip install -e .[test]": ".ci/run does",
    "pip install --no-deps --require-hashes -r requirements.lock": ".ci/run does",
    "pip install torch==2.13.0": "the CUDA build, gigabytes",
    "pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cu126": "the CUDA build, gigabytes",
    "pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu": "an index that CI does not reach",
    "pip install -e .[cluster]": "an extra, which CI installs",
    **dict.fromkeys(("dask scheduler", "dask worker tcp://first:8786 --nthreads 8",
                     "dask worker tcp://first:8786 --nthreads 2 --resources GPU=2"), "tests/cluster.py starts such"),
    "python tests/bench/cluster.py": "a measurement of minutes",
    "python -m stages.code": "writes dvc.yaml; test_graph compares it",
    "python -m mer.datasets frames films/ data/raw/affwild2/cropped_aligned": "tests/datasets/test_video.py does",
    **{f"python -m mer.datasets {name}": "named only; other lines have its arguments"
       for name in ("diff", "frames", "page")},
    **{f"python -m mer.{name}": "named only; other lines have its arguments" for name in (
        "compare --clips", "compare --clips FILE", "compare HEAD", "tune", "tune --inside",
        "datasets check --dataset samm_long")},
    "mer": "named only; other lines have its commands",
    "pytest": "this is it",
    "python tests/faults/campaign.py --kind signals kills full --seed 0 --minutes 60 --log faults.jsonl":
        "as long as one likes; tests/faults/test_campaign.py tries each fault once",
    "python tests/faults/campaign.py --table faults.jsonl": "tests/faults/test_campaign.py does",
    "MER_FUZZ=5000 pytest tests/fuzz": "minutes; a part of it is run as it is",
    "python -m tests.fuzz": "without end; its parts are the tests of tests/fuzz",
    "python -m mer.run": "would run the whole graph; tests/test_run.py does without DVC",
    "pytest tests/models/test_every_model.py tests/test_comments.py tests/tables": "parts of it",
    "python -m stages.code --check": "test_graph compares it",
    "dvc exp run -S model=<name>": "a placeholder",
    "python -m mer.compare HEAD workspace": "named only; other lines have its arguments",
    "python -m mer.predict CLIP": "a placeholder",
    "pytest -m slow": "this is one of them",
    "pytest -m quick": "this is one of them",
    "pytest -m gpu": "needs a GPU",
    "dvc repro": "pipeline.finished does",
    "dvc exp run": "named only; test_experiments does with -S, `-S lambda_f=0` as the README has it",
    "dvc exp run -S key=value": "a placeholder",
    "dvc exp run --queue -S ...": "a placeholder",
    "dvc exp run --run-all": "would train a whole table; test_all_tables does",
    "dvc queue start": "would train a whole table in the background",
    "python -m mer.tables queue mol-8 --run": "queues what the line without it prints; test_all_tables does",
    "python -m mer.compare": "named only; other lines have its arguments",
    "python -m mer.predict": "named only; other lines have its arguments",
    "dvc add": "named only; another line has its argument",
    "dvc remote add --default lab ssh://lab.example.org/srv/mer": "an example of a host",
    "dvc exp push origin lofty-wren": "needs a remote",
    "dvc exp show": "named only; another line has its arguments",
    "dvc exp show --only-changed --drop .*/|.*_(low|high|excess|accuracy|value|sd)|uar|wf1|Created":
        "tests/test_experiments.py does",
    "git checkout params.yaml": "tests/test_experiments.py does",
    "git add .": "would commit what the other lines made",
    "git commit -m baseline": "likewise",
    "git checkout .": "takes back what the other lines made",
    "dvc checkout": "likewise",
    "dvc push": "needs a remote; named to say what it leaves here",
    "python -m mer.bench": "a measurement of minutes; tests/test_bench.py runs a part of it",
    "python -m mer.bench tvl1 --quick": "tests/test_bench.py does",
    "python -m mer.bench mol_step fdp_step --out theirs.csv": "a measurement of minutes",
    "python tests/bench/demo.py": "a measurement of ten minutes",
    "python tests/bench/scaling.py --quick": "a measurement of minutes",
    "python tests/bench/scaling.py --times 1 8 --subjects 1 --stages landmarks align flow": "likewise",
    "python tests/bench/mol_step.py": "a measurement of minutes",
    "python tests/studies/plateau.py --steps 1400": "an hour",
    "python tests/bench/cluster.py --steps 10": "a measurement of minutes",
    "python tests/bench/processors.py": "minutes, and needs an emulator",
    "python tests/bench/ma2mi_step.py --size 64 --width 0.25 --dit 64,2,4 --batch 8": "a measurement of minutes",
    "python tests/bench/versions.py opencv-contrib-python==4.10.0.84 opencv-contrib-python==5.1.0.95":
        "installs packages, and is a measurement of ten minutes",
}
WORDS = {"casme2/sub01": "synthetic/s01"}  # what the miniature has instead
MORE = {"python -m mer.tune mol.k=2,4,6,8": ("--subjects", "1", "--draws", "1"),  # it has three subjects only
        "python -m mer.tune mol.k=2,4 --inside": ("--subjects", "1")}
COMMANDS_OUTS = ("reports/comparison", "reports/comparison.html", "reports/tune", "predict/")  # no stage makes these


@dataclass(frozen=True)
class Command:
    """`text`: its words, or Python code."""

    doc: str
    text: str
    words: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """run, resolve, or why neither; empty for what nobody has thought of."""
        if self.text in NOT_RUN:
            return NOT_RUN[self.text]
        settings = self.text.startswith(("dvc exp run -S ", "python -m mer.run -S "))
        if settings and set(self.words[3::2]) == {"-S"}:
            return "resolve"
        return "run" if not self.words or f"{self.text} ".startswith(RUN) else ""

    @property
    def settings(self) -> list[str]:
        """What stands behind each -S."""
        pairs = zip(self.words, self.words[1:], strict=False)
        unfilled = ("key=value", "...", "model=<name>")
        return [value for option, value in pairs if option == "-S" and value not in unfilled]


def documents() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT,
                            capture_output=True, text=True, check=True).stdout.split("\n")
    return sorted(name for name in listed if name and not name.startswith("reports/tables/"))


def text_of(doc: str) -> str:
    return (ROOT / doc).read_text(encoding="utf-8")


def shell(doc: str, line: str) -> list[Command]:
    """The commands of one line: what && joins, without the comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&;|")
    lexer.whitespace_split, found = True, [[]]
    for word in lexer:
        found.append([]) if set(word) <= set("&;|") else found[-1].append(word)
    # `mer X` is `python -m mer.X` where mer is installed (test_command)
    found = [["python", "-m", f"mer.{words[1]}", *words[2:]] if words[:1] == ["mer"] and len(words) > 1 else words
             for words in found]
    return [Command(doc, " ".join(words), tuple(words)) for words in found if words]


def is_python(text: str) -> bool:
    """Whether it is code that imports or calls something."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except SyntaxError:
        return False
    return any(isinstance(node, ast.Import | ast.ImportFrom | ast.Call) for node in nodes)


def spans(doc: str) -> list[tuple[int, str]]:
    """Inline code outside of blocks, and where it stands."""
    bare = re.sub(r"^```.*?^```", lambda block: " " * len(block[0]), text_of(doc), flags=re.MULTILINE | re.DOTALL)
    return [(found.start(), " ".join(found[1].split())) for found in re.finditer(r"`([^`]+)`", bare)]


def commented(line: str) -> list[str]:
    """Commands in the comment of a line of shell."""
    comment = line.partition(" #")[2]
    return [text for text in re.findall(r"`([^`]+)`|or: (.*)", comment) for text in text
            if text.startswith(tuple(f"{name} " for name in PROGRAMS))]


def commands(doc: str) -> list[Command]:
    """All commands of a document, in order, each once."""
    found = []
    for block in re.finditer(r"^```(\w*)\n(.*?)^```", text_of(doc), re.MULTILINE | re.DOTALL):
        assert block[1] in ("", "sh", "python", "yaml"), f"{doc}: a block in {block[1]} is not tested"
        if block[1] == "python":
            found.append((block.start(), [Command(doc, block[2])]))
        for line in block[2].splitlines():
            if block[1] == "sh":
                found.append((block.start(), shell(doc, line)))
                found += [(block.start(), shell(doc, said)) for said in commented(line)]
            assert block[1] in ("sh", "python") or not line.startswith(tuple(f"{name} " for name in PROGRAMS)), \
                f"{doc}: a block with `{line}` is no block of sh"
    for at, text in spans(doc):
        if re.match(rf"({'|'.join(PROGRAMS)})( |$)", text) and text != "git":
            found.append((at, shell(doc, text)))
        elif text.startswith("-S "):
            found.append((at, shell(doc, f"dvc exp run {text}")))
        elif re.match(r"\S+\.py -", text):
            found.append((at, shell(doc, f"python {text}")))
        elif is_python(text):
            found.append((at, [Command(doc, text)]))
    return list(dict.fromkeys(command for _, those in sorted(found, key=lambda pair: pair[0]) for command in those))


ALL = [command for doc in documents() for command in commands(doc)]
every = pytest.mark.parametrize("command", ALL, ids=[f"{c.doc}: {c.text.splitlines()[0]}" for c in ALL])


def test_the_documents_are_read():
    texts = {command.text for command in ALL}
    assert len(ALL) > 40 and set(NOT_RUN) <= texts, f"no document says {sorted(set(NOT_RUN) - texts)}"
    assert sum(command.kind == "run" for command in ALL) > 15 and set(MORE) <= texts
    assert any(not command.words for command in ALL), "Python"


@every
def test_every_command_is_run_or_resolved_or_there_is_a_reason(command):
    assert command.kind, f"{command.doc}: `{command.text}` is not tested: see RUN and NOT_RUN"


@cache
def help_of(*words: str) -> str:
    done = run(ROOT, sys.executable, *words, "--help")
    assert done.code == 0 and "usage: " in done.out, done.tail()
    return done.out


@every
def test_its_program_knows_all_its_options(command):
    if not command.words:
        return
    program, *words = (word for word in command.words if not re.fullmatch(r"[A-Z_]+=\S*", word))
    assert program in PROGRAMS
    if program == "dvc":
        from dvc.cli import parse_args

        with contextlib.suppress(SystemExit):  # after the help of what is named without its arguments
            parse_args([*words, "--help"] if "named only" in command.kind else words)
    elif program == "python":
        if words[0] == "-m":
            assert importlib.util.find_spec(words[1]) is not None
        else:
            assert (ROOT / words[0]).is_file()
        sub = [word for word in words[2:3] if word in ("queue", "check", "list", "diff", "table", "frames", "page")]
        usage = help_of(*words[:1 + (words[0] == "-m")], *sub)
        for option in (word for word in words[1:] if word.startswith("-") and word != "-m"):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", usage), option
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert words[0] == "install" and set(re.findall(r"\[(.*)]", words[-1])) <= set(extras)
        pins = [f"torch=={version('torch').partition('+')[0]}"] if "torch" in words[1] else []
        assert words[1] in ("-e", "--no-deps", *pins) and all(
            (ROOT / name).is_file() for option, name in itertools.pairwise(words) if option == "-r")
    elif program == "dask":
        pytest.importorskip("distributed")  # of the extra `cluster`, which the README's two commands leave out
        usage = run(ROOT, sys.executable, "-m", f"distributed.cli.dask_{words[0]}", "--help").out
        assert all(word in usage for word in words if word.startswith("-")) and "Usage: " in usage
    else:
        assert shutil.which(program) or program in ("pytest", "mer")


def resolved(tmp_path: Path, monkeypatch, *settings: str) -> params.Params:
    """params.yaml with what DVC makes of the settings, all of it checked as a stage would."""
    from dvc.utils.hydra import apply_overrides

    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "data/raw/mine").mkdir(parents=True)
    (tmp_path / "data/raw/mine/clips.csv").touch()  # data/README.md's own dataset
    monkeypatch.chdir(tmp_path)
    before = yaml.safe_load(Path("params.yaml").read_text())
    apply_overrides(tmp_path / "params.yaml", list(settings))
    after = yaml.safe_load(Path("params.yaml").read_text())
    assert keys(after) == keys(before), "a key that was not there"
    return params.load()


def keys(section: object, before: str = "") -> set[str]:
    """Dotted keys of nested mappings, sections included."""
    return {found for key, value in section.items() for found in ({f"{before}{key}"} | keys(value, f"{before}{key}."))
            } if isinstance(section, dict) else set()


@pytest.mark.parametrize("command", [c for c in ALL if c.settings], ids=lambda command: command.text)
def test_its_settings_are_values_that_params_yaml_takes(command, tmp_path, monkeypatch):
    resolved(tmp_path, monkeypatch, *command.settings)


KNOBS = keys(yaml.safe_load(text_of("params.yaml")))
NAMED = sorted({text for doc in documents() for _, text in spans(doc)})


def test_every_knob_that_is_named_is_in_params_yaml(tmp_path, monkeypatch):
    sections = {key.split(".")[0] for key in KNOBS if "." in key} - {"profiles"}
    dotted = [text for text in NAMED if re.fullmatch(r"[a-z_0-9]+\.[a-z_0-9]+", text)
              and text.split(".")[0] in sections and not text.endswith((".yaml", ".py", ".csv"))]
    assert len(dotted) > 20 and set(dotted) <= KNOBS, sorted(set(dotted) - KNOBS)
    pairs = [re.fullmatch(r"([\w.]+)(?:=|: )([^.]*|[\d.]+)", text) for text in NAMED]
    pairs = [pair for pair in pairs if pair and pair[1] in KNOBS]
    assert len(pairs) > 8
    for number, pair in enumerate(pairs):
        folder = tmp_path / str(number)
        folder.mkdir()
        several = ["datasets=[casme2,smic]", "classes=3-megc"] if pair[1] == "protocol" else []
        resolved(folder, monkeypatch, *several, f"{pair[1]}={pair[2].replace(' ', '')}")


def made() -> set[str]:
    """What the graph declares as made, `*` for items."""
    graph, found = yaml.safe_load(text_of("dvc.yaml"))["stages"], set()
    for stage in graph.values():
        stage = stage.get("do", stage)
        for out in stage.get("outs", []) + stage.get("metrics", []):
            found.add(re.sub(r"\$\{.*?}", "*", next(iter(out)) if isinstance(out, dict) else out))
    return found


def test_every_path_that_is_named_is_there_or_is_made():
    outs, missing, seen = made(), [], 0
    for text in NAMED:
        if not re.fullmatch(r"(mer|stages|tests|reports|data|predict|\.ci)/[^\s<$]+", text):
            continue
        seen += 1
        parts = [part.split(",") for part in re.split(r"[{}]", text)]  # {a,b}: all of them
        for path in map("".join, product(*parts)):
            if path.startswith(("mer", "stages", "tests", ".ci", "data/encoder_weights", "data/sd_vae")):
                there = any(ROOT.glob(path.rstrip("/")))
            else:
                below = [path.rstrip("/"), *map(str, Path(path).parents)]
                there = path.startswith(("data/raw", *COMMANDS_OUTS)) or any(
                    fnmatch.fnmatch(place, out) for place in below for out in outs) or any(
                    out.startswith(path) for out in outs)
            if not there:
                missing.append(path)
    assert seen > 15 and not missing, missing
    files = {path.name for folder in ("mer", "stages", "tests") for path in (ROOT / folder).rglob("*.py")}
    bare = {text for text in NAMED if re.fullmatch(r"\w+\.py", text)}
    assert bare <= files, sorted(bare - files)


@pytest.mark.parametrize("doc", documents())
def test_every_link_leads_somewhere(doc):
    bare = re.sub(r"^```.*?^```|`[^`\n]+`", "", text_of(doc), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", bare):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / doc).parent / name if name else ROOT / doc
        assert path.is_file(), f"{doc}: {target}"
        heads = [] if not anchor else [re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-")
                 for head in re.findall(r"^#+ (.*)", path.read_text(encoding="utf-8"), re.MULTILINE)]
        assert not anchor or anchor in heads, f"{doc}: {target} is none of {heads}"


@pytest.mark.parametrize("doc", sorted(set(documents()) - {"data/encoder_weights/README.md", "data/sd_vae/README.md"}))
def test_lines_are_short_but_for_tables(doc):
    """The two that are left out are inputs of stages, so that a new line break would run them again."""
    lines, front = text_of(doc).splitlines(), doc == "README.md"
    assert [line for line in lines if len(line) > (100 if front else 120) and (front or not line.startswith("|"))] == []
    assert not front or len(lines) <= 130


def test_documents_are_no_part_of_a_stages_inputs_and_are_in_git():
    """mer/models/${model} and mer/datasets are dependencies as folders."""
    from dvc.fs import localfs
    from dvc.ignore import DvcIgnoreFilter

    ignored = DvcIgnoreFilter(localfs, str(ROOT))
    for doc in (doc for doc in documents() if doc.startswith("mer/")):
        assert ignored.is_ignored_file(str(ROOT / doc)), doc
    assert not ignored.is_ignored_file(str(ROOT / "mer/models/mol/network.py"))
    assert {"data/README.md", "reports/README.md", "CONTRIBUTING.md"} <= set(documents())


@pytest.fixture
def project(tmp_path, tmp_path_factory) -> Path:
    """The finished miniature with what the documents take for granted: a film, a folder of frames, another project,
    an experiment, branches, a release."""
    made = finished(tmp_path_factory.getbasetemp())
    root = shutil.copytree(made, tmp_path / "project", symlinks=True)
    shutil.copytree(made, tmp_path / "other", symlinks=True)
    frames = sorted((root / "data/raw/synthetic/frames").iterdir())[0]
    pictures = [cv2.imread(str(frames / f"img{number}.jpg")) for number in range(1, 10)]
    video = cv2.VideoWriter(str(root / "my_clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 30, pictures[0].shape[1::-1])
    (root / "frames").mkdir()
    for number, picture in zip((46, 50, 54, 59, 64, 70, 76, 81, 86), pictures, strict=True):
        video.write(picture)
        cv2.imwrite(str(root / f"frames/img{number}.jpg"), picture)
    video.release()
    write_casme2(root / "data/raw/casme2")
    for words in (("exp", "run", "--name", "lofty-wren", "-S", "evaluate.bootstrap=200"),
                  ("exp", "branch", "lofty-wren", "no-flow"), ("exp", "branch", "lofty-wren", "no-ccc")):
        done = dvc(root, *words)
        assert done.code == 0, done.tail()
    run(root, "git", "branch", "--force", "main")
    return root


@pytest.mark.slow
def test_the_documents_commands_run_in_their_order(project):
    failed = []
    once = {command.text: command for command in reversed(ALL) if command.kind == "run"}  # where a text comes first
    for command in reversed(once.values()):
        words = [WORDS.get(word, word) for word in (*command.words, *MORE.get(command.text, ()))]
        start = {"python": [sys.executable], "dvc": list(DVC), "git": ["git"]}
        full = [*start[words[0]], *words[1:]] if words else [sys.executable, "-c", command.text]
        done = run(project, *full)
        print(f"{done.seconds:5.1f} s  {command.text}")
        if done.code or "Traceback" in done.err:
            failed.append(f"{command.doc}: {command.text}\n{done.tail()}")
    assert not failed, "\n\n".join(failed)

    # without network the charts of the last `dvc plots diff` are empty, so that each has its picture, of both sides
    page = (project / "dvc_plots/index.html").read_text(encoding="utf-8")
    shown = set(re.findall(r'<img[^>]* src="([^"]+)"', page, re.DOTALL))
    plots = yaml.safe_load(text_of("dvc.yaml"))["plots"]
    pictures = {name for name in plots if isinstance(name, str)}
    charts = {Path(next(iter(plot["y"]))).parent for entry in plots if isinstance(entry, dict)
              for plot in entry.values()}
    assert len(pictures) == sum(isinstance(entry, dict) for entry in plots)
    assert charts == {Path(name).parent for name in pictures}
    for name in pictures:
        both = [path for path in shown if path.endswith(f"_{name.replace('/', '_')}")]
        assert len(both) == 2 and all((project / "dvc_plots" / path).stat().st_size > 1000 for path in both), shown

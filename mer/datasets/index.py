"""From a raw release to clip rows that were counted against the published numbers."""

import hashlib
from collections import Counter
from pathlib import Path

from mer.base.errors import MerError
from mer.base.knobs import nearest
from mer.datasets import people, releases
from mer.datasets.class_sets import COLUMNS, Expected, Labels, LabelSet, class_index, own_labels, released
from mer.datasets.clips import LARGEST, Clip, too_large
from mer.datasets.rules import FLAGS, Reading

SHOWN = 10  # exclusions printed; summary.json has them all
LISTED = 200  # clips listed for a flag; all stand in clips.csv


def build_index(dataset: str, raw_root: str | Path, *, accept_counts: bool = False, images: str = "raw",
                variant: str | None = None) -> tuple[list[Clip], dict]:
    """Read a raw release, print its counts beside the published ones, and return (clips, summary).

    Clips are sorted by subject and clip_id. The summary holds counts per class and subjects of every label set, the
    published counts, exclusions with their reason, flags, and the SHA-256 of the annotation.

    Raises MerError when the release cannot be read, holds a label that its vocabulary lacks or the same images under
    two subjects, or when counts differ from the published ones and `accept_counts` is not set.
    """
    reading = releases.read(dataset, raw_root, images=images, variant=variant)
    people.refuse_shared(dataset, Path(raw_root), reading.clips)
    summary = survey(dataset, Path(raw_root), reading)
    print(table(summary))
    wrong = differing_sets(summary)
    if wrong and not accept_counts:
        causes = "; ".join(summary["causes"]) or "none known"
        raise MerError(f"{dataset}: counts differ from the published ones in set {', '.join(wrong)} (table above); "
                       f"likely cause: {causes}; set index.accept_counts to true to go on with what was found")
    return sorted(reading.clips, key=lambda clip: (clip.subject, clip.clip_id)), summary


def survey(dataset: str, raw_root: Path, reading: Reading) -> dict:
    """The summary of a reading (see `build_index`), plain JSON values in a fixed order."""
    if not reading.clips:
        first = f"; {reading.excluded[0].clip_id}: {reading.excluded[0].reason}" if reading.excluded else ""
        raise MerError(f"{dataset}: {raw_root} gives no usable clip ({len(reading.excluded)} rows left out{first})")
    raw_labels = {clip.label_raw for clip in reading.clips}
    labels = released(dataset) or own_labels(dataset, raw_root, raw_labels)
    _check_clips(dataset, reading, labels)
    summary = {
        "dataset": dataset,
        "release": reading.release,
        "clips": len(reading.clips),
        "subjects": len({clip.subject for clip in reading.clips}),
        "labels": dict(sorted(Counter(clip.label_raw for clip in reading.clips).items())),
        "annotation": {"files": list(reading.tables), "sha256": _digest(raw_root, reading)},
        "sets": {name: _survey_set(reading, entry) for name, entry in labels.sets.items()
                 if any(map(entry.word, reading.clips))},  # not objective, where its table is not there
        "excluded": [{"clip_id": row.clip_id, "label": row.label, "reason": row.reason} for row in reading.excluded],
        "flags": {flag: {"meaning": FLAGS[flag], "count": len(ids), "clips": ids[:LISTED]}
                  for flag, ids in _flagged(reading.clips).items()},
        "notes": list(reading.notes),
    }
    summary["causes"] = _causes(summary, labels, _missing_subjects(reading))
    return summary


def refuse_unusable(dataset: str, summary: dict, raw: dict) -> None:
    """Refuse a label set, of those that params.yaml (`raw`) asks of this dataset, that no fold could be made of.

    Told here, because the label stages take hours. Of several datasets each may lack a class, or have one subject.

    Raises:
        MerError: no such set; and where the dataset is the only one that is tested a class without a clip, fewer than
            two classes, fewer subjects than the protocol needs.
    """
    datasets, pretrain = raw.get("datasets") or [], raw.get("pretrain") or {}
    if dataset in (pretrain.get("sources") or []):
        _set(dataset, summary, str(pretrain.get("classes")))
        return
    if dataset not in datasets:
        return  # indexed by hand
    name, protocol = str(raw.get("classes")), raw.get("protocol")
    found = _set(dataset, summary, name)
    if len(datasets) > 1:
        return
    counts = found["counts"]
    empty = [label for label, count in counts.items() if not count]
    if len(counts) < 2:
        raise MerError(f"{dataset}: label set '{name}' has one class, {', '.join(counts)}; two or more are needed to "
                       "tell them apart: choose another set with `classes`, or look at the labels")
    if empty:
        raise MerError(f"{dataset}: class {empty[0]} of set '{name}' has no clip; the labels are "
                       f"{', '.join(summary['labels'])}: choose another set with `classes`, or mend the words")
    needed = (raw.get("kfold") or {}).get("k", 2) if protocol == "kfold" else 1 if protocol == "official" else 2
    if found["subjects"] < needed:
        raise MerError(f"{dataset}: {found['subjects']} subject{'s' * (found['subjects'] != 1)} with clips of set "
                       f"'{name}'; protocol = {protocol} needs {needed} or more")


def _set(dataset: str, summary: dict, name: str) -> dict:
    """What the summary holds of a label set. MerError where it has none of that name."""
    if name not in summary["sets"]:
        raise MerError(f"{dataset} has no label set '{name}'; it has {', '.join(summary['sets'])}"
                       f"{nearest(name, summary['sets'])}: choose one with `classes` (of sources: pretrain.classes)")
    return summary["sets"][name]


def differing_sets(summary: dict) -> list[str]:
    """Names of the label sets whose counts or subjects differ from firm published ones."""
    return [name for name, entry in summary["sets"].items() if not entry["agrees"]]


def table(summary: dict) -> str:
    """The counts as text: one line a class and set with (found, published, difference), then what was left out."""
    lines = [f"{summary['dataset']}, release {summary['release']}: {summary['clips']} clips of "
             f"{summary['subjects']} subjects",
             f"{'set':<14}{'class':<14}{'found':>7}{'published':>11}{'difference':>12}"]
    for name, entry in summary["sets"].items():
        published = entry["expected"] or {}
        rows = [*entry["counts"].items(), ("all", sum(entry["counts"].values())), ("subjects", entry["subjects"])]
        for row, found in rows:
            known = published.get(row)
            difference = "" if known is None else f"{found - known:+d}" if found != known else "0"
            what = "total" if row == "all" else row
            lines.append(f"{name:<14}{what:<14}{found:>7}{'-' if known is None else known:>11}{difference:>12}")
        if published and entry["loose"]:
            lines.append(f"{name:<14}({', '.join(entry['loose'])}: second-hand or derived, a difference does not stop)")
    lines += [f"left out: {row['clip_id']} ({row['label']}): {row['reason']}" for row in summary["excluded"][:SHOWN]]
    if len(summary["excluded"]) > SHOWN:
        lines.append(f"left out: {len(summary['excluded']) - SHOWN} more, see summary.json")
    for flag, entry in summary["flags"].items():
        lines.append(f"flag {flag}: {entry['count']} clips ({entry['meaning']})")
    return "\n".join([*lines, *(f"note: {note}" for note in summary["notes"])])


def _survey_set(reading: Reading, labels: LabelSet) -> dict:
    members = [(clip, index) for clip in reading.clips if (index := class_index(clip, labels)) is not None]
    found = Counter(index for _, index in members)
    counts = {name: found[index] for index, name in enumerate(labels.names)}
    subjects = len({clip.subject for clip, _ in members})
    published = labels.expected.get(reading.release)
    expected, firm, loose = _expected(labels, published) if published else (None, {}, [])
    have = counts | {"all": sum(counts.values()), "subjects": subjects}
    dropped = labels.exclude.get(reading.release, {})
    unused = Counter(getattr(clip, labels.column) for clip in reading.clips
                     if labels.word(clip) not in labels.map)
    return {
        "classes": list(labels.names),
        **({"column": labels.column} if labels.column != COLUMNS[0] else {}),
        "map": labels.map,
        "source": labels.source,
        "note": labels.note,
        "counts": counts,
        "subjects": subjects,
        "expected": expected,
        "loose": loose,
        "agrees": all(have[row] == value for row, value in firm.items()),
        "labels_unused": dict(sorted(unused.items())),
        "excluded_by_set": [{"clip_id": clip.clip_id, "reason": dropped[clip.clip_id]}
                            for clip in reading.clips if clip.clip_id in dropped],
    }


def _expected(labels: LabelSet, published: Expected) -> tuple[dict, dict, list[str]]:
    """Published numbers by row of the table: (all of them, those that stop the run, kinds of those that do not)."""
    kinds = {
        "counts": dict(zip(labels.names, published.counts, strict=True)) if published.counts else {},
        "total": {} if published.total is None else {"all": published.total},
        "subjects": {} if published.subjects is None else {"subjects": published.subjects},
    }
    every = {row: value for rows in kinds.values() for row, value in rows.items()}
    firm = {row: value for kind in published.firm for row, value in kinds[kind].items()}
    return every, firm, [kind for kind, rows in kinds.items() if rows and kind not in published.firm]


def _check_clips(dataset: str, reading: Reading, labels: Labels) -> None:
    """Refuse repeated ids, frame numbers that no store can hold and, where the release's words are known, any other
    word: it would vanish from every set."""
    twice = [clip_id for clip_id, n in Counter(clip.clip_id for clip in reading.clips).items() if n > 1]
    if twice:
        raise MerError(f"{dataset}: clip_id '{twice[0]}' stands twice in {', '.join(reading.tables) or 'the folders'}")
    for clip in reading.clips:
        if (number := max(clip.onset, clip.last, clip.offset)) > LARGEST:
            raise MerError(f"{dataset}: clip {clip.clip_id} in {clip.frames_dir}: {too_large(number)}")
        if labels.vocabulary and clip.label_raw.lower() not in labels.vocabulary:
            raise MerError(f"{dataset}: clip {clip.clip_id} is labelled '{clip.label_raw}'; expected one of "
                           f"{', '.join(labels.vocabulary)}")


def _flagged(clips: tuple[Clip, ...]) -> dict[str, list[str]]:
    flagged = {flag: [clip.clip_id for clip in clips if flag in clip.flags.split(";")] for flag in FLAGS}
    return {flag: ids for flag, ids in flagged.items() if ids}


def _missing_subjects(reading: Reading) -> list[str]:
    """The subjects of whose rows every one is left out."""
    present = {clip.subject.split("/", 1)[-1] for clip in reading.clips}
    return sorted({row.subject for row in reading.excluded if row.subject} - present)


def _causes(summary: dict, labels: Labels, missing: list[str]) -> list[str]:
    """Likely causes of differing counts: another version's numbers, rows left out, whole subjects among them."""
    causes = []
    for name in differing_sets(summary):
        counts = tuple(summary["sets"][name]["counts"].values())
        for release, published in labels.sets[name].expected.items():
            if release != summary["release"] and published.counts == counts:
                causes.append(f"set {name} has exactly the counts of release {release}")
    if causes or not differing_sets(summary):
        return causes
    if summary["excluded"]:
        first = summary["excluded"][0]
        causes.append(f"{len(summary['excluded'])} rows left out, the first {first['clip_id']} ({first['reason']})")
    if missing:
        shown = ", ".join(missing[:SHOWN]) + (" ..." if len(missing) > SHOWN else "")
        causes.append(f"nothing is left of {len(missing)} subjects: {shown}")
    rows = summary["clips"] + len(summary["excluded"])
    return [*causes, f"the annotation itself holds {rows} rows", *summary["notes"]]


def _digest(raw_root: Path, reading: Reading) -> str:
    """SHA-256 of the annotation: of the file itself, of names and contents when there are several, and of the list of
    clips when the folders are the annotation."""
    if len(reading.tables) == 1:
        return hashlib.sha256((raw_root / reading.tables[0]).read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for name in sorted(reading.tables):
        digest.update(f"{name}\0".encode() + (raw_root / name).read_bytes())
    if not reading.tables:
        for clip in sorted(reading.clips, key=lambda clip: clip.clip_id):
            digest.update(f"{clip.frames_dir}\0{clip.first}\0{clip.last}\0{clip.label_raw}\n".encode())
    return digest.hexdigest()

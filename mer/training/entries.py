"""From the index and the label stores to the clips a run trains on, every clip that is left out counted and told."""

import sys
from collections import Counter
from pathlib import Path

from mer.base.errors import MerError
from mer.datasets.class_sets import LabelSet, class_index
from mer.datasets.clips import read_clips
from mer.datasets.releases import people
from mer.labels import records
from mer.training.batches import Entry

NO_CLASS = -1  # the label of an entry that is in no class
def collect(data: Path, sets: dict[str, LabelSet], *,
            unlabelled: bool = False) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The usable clips of several datasets in one label set, and the names of its classes.

    Args:
        data: the folder with the label stores.
        sets: dataset -> its label set; all must have the same classes (MEGC2019's composite: the same three).
        unlabelled: take those in no class too, for a task that reads no label; then no class need have a clip.

    Raises:
        MerError: the datasets' classes differ, no clip is left, or a class has no clip.
    """
    names = {labels.names for labels in sets.values()}
    if len(names) > 1:
        differ = "; ".join(f"{dataset}: {', '.join(labels.names)}" for dataset, labels in sets.items())
        raise MerError(f"params.yaml: datasets with different classes under one name: {differ}; expected the "
                       "same classes")
    entries = []
    for dataset, labels in sets.items():
        excluded = {entry["clip_id"] for entry in records.exclusions(data, dataset)}
        clips = read_clips(data / "aligned" / dataset / "clips.csv")
        chosen = [(clip, class_index(clip, labels)) for clip in clips]
        if unlabelled:
            chosen = [(clip, NO_CLASS if index is None else index) for clip, index in chosen]
        outside = sum(index is None for _, index in chosen)
        lost = [clip.clip_id for clip, index in chosen if index is not None and clip.clip_id in excluded]
        if outside or lost:
            print(f"{dataset}: {outside} clips are in no class of set {labels.name}; {len(lost)} clips of it could not "
                  f"be labelled{': ' + ', '.join(lost) if lost else ''}", file=sys.stderr)
        entries += [Entry(clip, index) for clip, index in chosen if index is not None and clip.clip_id not in excluded]
    classes = next(iter(names))
    counts = Counter(entry.label for entry in entries)
    for index, name in enumerate(classes):
        if not counts[index] and not unlabelled:
            raise MerError(f"data/index: class {name} of set {next(iter(sets.values())).name} has no clip in "
                           f"{', '.join(sets)}; choose another set with `classes`, or a release that has it")
    return tuple(entries), classes


def refuse_known_faces(data: Path, sources: tuple[str, ...], targets: tuple[str, ...]) -> None:
    """Stop when a person of the releases `sources` is one of `targets`, who would not be unknown to a tested network.

    In releases that show the same people, as their readers declare or one's own X_macro and X, the same subject name is
    the same person. Names of other releases mean different people. DFEW, FERV39k and AFEW name nobody.

    Raises:
        MerError: names the people.
    """
    def shown(releases: tuple[str, ...]) -> set[tuple[str, str]]:
        clips = (clip for name in releases for clip in read_clips(data / "aligned" / name / "clips.csv"))
        return {(people(clip.dataset), clip.subject.split("/", 1)[1]) for clip in clips
                if "subject_unknown" not in clip.flags}

    known = sorted("/".join(person) for person in shown(sources) & shown(targets))
    if known:
        raise MerError(f"pretrain.sources = {list(sources)} shows {len(known)} of the people who are tested "
                       f"({', '.join(known[:3])}{', ...' if len(known) > 3 else ''}), which is a leak; leave their "
                       "clips out of its clips.csv, or pretrain on other people")


def groups(source: LabelSet, target: LabelSet) -> list[list[int]]:
    """For each class of `target` the classes of `source` that belong to it: those whose labels `target` maps there."""
    return [[index for index, name in enumerate(source.names)
             if target.map.get(name) == wanted or name == wanted] for wanted in target.names]

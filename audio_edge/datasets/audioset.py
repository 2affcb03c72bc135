"""AudioSet (Gemmeke et al. 2017): 10-second clips of video sounds, several labels each.

The segments are listed in `*train_segments.csv` and `eval_segments.csv`, the classes in
`class_labels_indices.csv` and, for their ancestors, `ontology.json`. Videos disappear, so segments
without a recording are normal; they are counted and passed over.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from audio_edge import files
from audio_edge.config import DataConfig
from audio_edge.datasets import folds
from audio_edge.datasets.index import Clip, Index, recordings, select_groups
from audio_edge.errors import UserError

_LOG = logging.getLogger("audio_edge")
CLASSES, ONTOLOGY, EVAL = "class_labels_indices.csv", "ontology.json", "eval_segments.csv"


@dataclass(frozen=True)
class Segment:
    """A line of a segments table: the video, where the segment lies in it, and its label ids."""

    video: str
    start_s: float
    end_s: float
    mids: tuple[str, ...]

    def names(self) -> Iterator[str]:
        """What its recording may be called, without the ending, the most exact first."""
        start, end = self.start_s, self.end_s
        for video in (self.video, f"Y{self.video}"):
            for form in ("{:g}", "{:.3f}"):
                yield f"{video}_{form.format(start)}_{form.format(end)}"
            for form in ("{:g}", "{:.3f}"):
                yield f"{video}_{form.format(start)}"
            yield f"{video}_{1000 * start:.0f}_{1000 * end:.0f}"
            yield f"{video}_{1000 * start:.0f}"
            yield video


def index(data: DataConfig, *, seed: int) -> Index:
    """Index `data.root`: the segments of `eval_segments.csv` judge, all others teach.

    Recordings lie anywhere below the root, one a segment, called by the video and, if that is not
    all, the segment's start and end in seconds or milliseconds: `<video>_<start>.flac`. `words`
    choose classes by display name or id; [] takes all of `class_labels_indices.csv`. A segment of
    none of them takes part, without a label, if `unknown` is true. With `ontology` a label counts
    for its ancestors too, such as "Speech" for "Whispering".

    Raises:
        UserError: A table is missing or damaged, a class is unknown, or no recording is there.
    """
    root = Path(data.root)
    names = _names(root, abstract=data.ontology)
    chosen = _chosen(data, names, root)
    parents = _parents(root) if data.ontology else {}
    files_of = {path.stem: path for path in reversed(recordings(root))}
    clips: list[Clip] = []
    missing = 0
    tested: set[str] = set()
    for table in tables(root):
        judges = table.name == EVAL
        for segment in segments(table):
            path = next((files_of[name] for name in segment.names() if name in files_of), None)
            if path is None:
                missing += 1
                continue
            known = widened(segment.mids, parents)
            labels = tuple(name for mid, name in chosen.items() if mid in known)
            if not labels and not data.unknown:
                continue
            if judges:
                tested.add(segment.video)
            split = "test" if judges else "train"
            clips.append(Clip(path, " + ".join(labels), segment.video, split, labels=labels))
    if missing:
        _LOG.info("%d segments have no recording below %s", missing, root)
    if not clips:
        raise UserError(
            f"{root}: holds no recording of any segment; call them <video>_<start>.wav, "
            "as the tables name them"
        )
    kept = [clip for clip in clips if clip.split == "test" or clip.group not in tested]
    clips = list({clip.path: clip for clip in reversed(kept)}.values())[::-1]
    learning = [
        (label, clip.group)
        for clip in clips
        if clip.split == "train"
        for label in clip.labels or ("",)
    ]
    selecting = select_groups(learning, seed=seed, val_share=data.val_share)
    placed = [
        Clip(clip.path, clip.label, clip.group, "val", labels=clip.labels)
        if clip.split == "train" and clip.group in selecting
        else clip
        for clip in clips
    ]
    return Index(root, tuple(chosen.values()), tuple(placed), (), multi_label=True)


def tables(root: Path) -> list[Path]:
    """The segments tables that there are, the one that judges first."""
    training = sorted(root.glob("*train_segments.csv"))
    for path, needed in ((root / EVAL, (root / EVAL).is_file()), (root, bool(training))):
        if not needed:
            raise UserError(
                f"{path}: AudioSet needs {EVAL} and balanced_train_segments.csv in data.root; "
                "fetch them"
            )
    return [root / EVAL, *training]


def segments(table: Path) -> Iterator[Segment]:
    """The lines of a segments table: video, start_s, end_s, "id,id"; # begins a comment.

    Raises:
        UserError: A line has another form.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True)
            for row in reader:
                if not row or row[0].startswith("#"):
                    continue
                try:
                    video, start, end, mids = row
                    labels = tuple(mid.strip() for mid in mids.split(",") if mid.strip())
                    found = Segment(video, float(start), float(end), labels)
                    if not video or not 0 <= found.start_s < found.end_s:
                        raise ValueError
                except ValueError as error:
                    raise UserError(
                        f"{table}, line {reader.line_num}: must be a video, start, end and the "
                        f"quoted ids of its labels; correct it. Received: {', '.join(row)!r}"
                    ) from error
                yield found
    except OSError as error:
        raise UserError(f"{table}: cannot be read ({error.strerror}); fetch it again") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table}: not a CSV file in UTF-8 ({error}); fetch it again") from error


def widened(mids: Iterable[str], parents: dict[str, set[str]]) -> set[str]:
    """Label ids and all their ancestors."""
    found: set[str] = set()
    left = list(mids)
    while left:
        mid = left.pop()
        if mid not in found:
            found.add(mid)
            left += parents.get(mid, ())
    return found


def _names(root: Path, *, abstract: bool) -> dict[str, str]:
    """Id -> display name of the classes, then of what else the ontology knows, if asked for."""
    rows = folds.read(root / CLASSES, "mid", "display_name")
    names = {row.text("mid"): row.text("display_name") for row in rows}
    if abstract:
        names |= {mid: name for mid, name, _ in _ontology(root) if mid not in names}
    return names


def _chosen(data: DataConfig, names: dict[str, str], root: Path) -> dict[str, str]:
    """Id -> display name of the classes to learn, in the order of the model's outputs."""
    if not data.words:
        return {row["mid"]: names[row["mid"]] for row in folds.read(root / CLASSES, "mid")}
    ids = {name: mid for mid, name in reversed(names.items())} | {mid: mid for mid in names}
    for word in data.words:
        if word not in ids:
            more = "" if data.ontology else ", or set data.ontology = true for the abstract ones"
            raise UserError(f"data.words: AudioSet has no class '{word}'; see {CLASSES}{more}")
    return {ids[word]: names[ids[word]] for word in data.words}


def _parents(root: Path) -> dict[str, set[str]]:
    parents: dict[str, set[str]] = {}
    for mid, _, children in _ontology(root):
        for child in children:
            parents.setdefault(child, set()).add(mid)
    return parents


def _ontology(root: Path) -> list[tuple[str, str, list[str]]]:
    """(id, display name, ids of the children) of every class of the ontology."""
    where = root / ONTOLOGY
    try:
        return [
            (str(row["id"]), str(row["name"]), [str(child) for child in row.get("child_ids", [])])
            for row in files.read_json(where, list)
        ]
    except (LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{where}: not the ontology of AudioSet; fetch it again") from error

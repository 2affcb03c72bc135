"""What was said held against what was heard: label tracks and their comparison with detections."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audio_edge.detector import Detection
from audio_edge.errors import UserError
from audio_edge.events import Word
from audio_edge.files import replacing, write_bytes

TOLERANCE_S = 0.3


@dataclass(frozen=True)
class Pair:
    """A word and the detection that answers it, if any."""

    word: Word
    heard: Detection | None
    right: bool

    @property
    def error_s(self) -> float | None:
        """Seconds from the word's middle to the detection; None if nothing was heard."""
        return None if self.heard is None else self.heard.time_s - self.word.middle_s


@dataclass(frozen=True)
class Verdict:
    """One pair a word, in order, and the detections that answer no word."""

    pairs: tuple[Pair, ...]
    false: tuple[Detection, ...]

    @property
    def right(self) -> int:
        """Words heard rightly."""
        return sum(pair.right for pair in self.pairs)

    @property
    def perfect(self) -> bool:
        """Every word right and nothing else heard."""
        return self.right == len(self.pairs) and not self.false

    @property
    def largest_error_s(self) -> float:
        """Largest absolute time error of the words heard under their own label; 0 if none was."""
        return max(
            (
                abs(pair.error_s)
                for pair in self.pairs
                if pair.heard and pair.error_s is not None and pair.heard.label == pair.word.label
            ),
            default=0.0,
        )


def match(
    words: Sequence[Word], detections: Sequence[Detection], *, tolerance_s: float = TOLERANCE_S
) -> Verdict:
    """Answer each word by at most one detection, and each detection to at most one word.

    First every word takes the nearest free detection of its own label within `tolerance_s` of its
    middle; these are right. Then every word left takes the nearest free detection within its span
    widened by `tolerance_s` on both sides; these are wrong, in label or time. The rest is false.

    Args:
        words: What was said.
        detections: What was heard.
        tolerance_s: Seconds, >= 0; a boundary counts as within.
    """
    free = list(detections)
    heard: dict[int, Detection] = {}

    def take(index: int, candidates: list[Detection]) -> None:
        if candidates:
            middle = words[index].middle_s
            heard[index] = min(candidates, key=lambda item: abs(item.time_s - middle))
            free.remove(heard[index])

    near = tolerance_s + 1e-9
    for index, word in enumerate(words):
        same = [item for item in free if item.label == word.label]
        take(index, [item for item in same if abs(item.time_s - word.middle_s) <= near])
    right = set(heard)
    for index, word in enumerate(words):
        if index not in heard:
            low, high = word.start_s - near, word.end_s + near
            take(index, [item for item in free if low <= item.time_s <= high])
    pairs = (Pair(word, heard.get(index), index in right) for index, word in enumerate(words))
    return Verdict(tuple(pairs), tuple(free))


def read_labels(path: str | os.PathLike[str]) -> list[Word]:
    r"""Read an Audacity label track: one "start<TAB>end<TAB>label" a line, times in seconds.

    Lines that begin with a backslash (frequency ranges) and empty lines are passed over.

    Returns:
        The words in order of time.

    Raises:
        UserError: The file cannot be read, a line is malformed, or there is no word at all.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UserError(
            f"{path}: cannot be read ({reason}); give an Audacity label track"
        ) from error
    words = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("\\"):
            continue
        fields = line.split("\t")
        try:
            start_s, end_s, label = float(fields[0]), float(fields[1]), fields[2].strip()
        except (ValueError, IndexError):
            start_s, end_s, label = 0.0, -1.0, ""
        if not (0 <= start_s <= end_s < float("inf") and label):
            raise UserError(
                f"{path}: line {number} must be start, end in seconds and a label between tabs. "
                f"Received: {line!r}"
            )
        words.append(Word(label, start_s, end_s))
    if not words:
        raise UserError(f"{path}: holds no label; write start<TAB>end<TAB>label lines")
    return sorted(words, key=lambda word: word.start_s)


def read_truth(path: str | os.PathLike[str]) -> list[Word]:
    """Read an Audacity label track or, of a name that ends in .csv, a table.

    The table has the columns label, start_s and end_s, perhaps snr_db, and any others.

    Returns:
        The words in order of time.

    Raises:
        UserError: The file cannot be read, a row is malformed, or there is no word at all.
    """
    if Path(path).suffix.lower() != ".csv":
        return read_labels(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "not a table of UTF-8 text"
        raise UserError(f"{path}: cannot be read ({reason}); give a CSV table") from error
    words = []
    for number, row in enumerate(rows, 2):
        try:
            start_s, end_s, label = float(row["start_s"]), float(row["end_s"]), row["label"].strip()
            snr_db = float(row["snr_db"]) if row.get("snr_db") else None
        except (KeyError, ValueError, TypeError, AttributeError):
            start_s, end_s, label, snr_db = 0.0, -1.0, "", None
        finite = snr_db is None or math.isfinite(snr_db)
        if not (0 <= start_s <= end_s < float("inf") and label and finite):
            raise UserError(
                f"{path}: line {number} must have label, start_s and end_s in seconds, all finite. "
                f"Received: {row!r}"
            )
        words.append(Word(label, start_s, end_s, snr_db))
    if not words:
        raise UserError(f"{path}: holds no word; write rows of label,start_s,end_s")
    return sorted(words, key=lambda word: word.start_s)


def write_labels(path: str | os.PathLike[str], words: Iterable[Word]) -> None:
    """Write an Audacity label track, which `read_labels` reads; times to the microsecond."""
    lines = [f"{word.start_s:.6f}\t{word.end_s:.6f}\t{word.label}\n" for word in words]
    write_bytes(path, "".join(lines).encode())


def write_table(path: str | os.PathLike[str], words: Iterable[Word]) -> None:
    """Write the table label,start_s,end_s,snr_db, which `read_truth` reads."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["label", "start_s", "end_s", "snr_db"])
        for word in words:
            snr_db = "" if word.snr_db is None else f"{word.snr_db:.2f}"
            writer.writerow([word.label, f"{word.start_s:.6f}", f"{word.end_s:.6f}", snr_db])

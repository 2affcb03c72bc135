"""Tiny data sets in the layout of ESC-50 and UrbanSound8K: tones as classes, a few clips a fold."""

from __future__ import annotations

import csv
from pathlib import Path

import soundfile

from tests import tones

CLASSES = ("high", "low", "mid")


def write(path: Path, label: str, seed: int) -> None:
    """One clip: half a second of the class's tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tones.say(label, seed), tones.RATE)


def table(path: Path, rows: list[dict[str, object]]) -> None:
    """A CSV file with the keys of the first row as its first line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def esc50(root: Path, *, sources: int = 2, takes: str = "AB", folds: int = 5) -> Path:
    """`sources` recordings of each class in each fold, each of them cut into `takes`.

    Of "sweep", which is no class of ESC-10, there is one clip a fold.
    """
    rows: list[dict[str, object]] = []
    for fold in range(1, folds + 1):
        for target, label in enumerate((*CLASSES, "sweep")):
            small = label not in CLASSES
            for source in range(1 if small else sources):
                number = 1000 * fold + 100 * target + source
                for take in "A" if small else takes:
                    name = f"{fold}-{number}-{take}-{target}.wav"
                    write(root / "audio" / name, label, 10 * number + ord(take))
                    rows.append(
                        {
                            "filename": name, "fold": fold, "target": target, "category": label,
                            "esc10": not small, "src_file": number, "take": take,
                        }
                    )  # fmt: skip
    table(root / "meta" / "esc50.csv", rows)
    return root


def urbansound8k(root: Path, *, sources: int = 2, slices: int = 2) -> Path:
    """`sources` recordings of each class in each of ten folds, each of them cut into `slices`."""
    rows: list[dict[str, object]] = []
    for fold in range(1, 11):
        for number, label in enumerate(CLASSES):
            for source in range(sources):
                recording = 1000 * fold + 100 * number + source
                for piece in range(slices):
                    name = f"{recording}-{number}-0-{piece}.wav"
                    write(root / "audio" / f"fold{fold}" / name, label, 10 * recording + piece)
                    rows.append(
                        {
                            "slice_file_name": name, "fsID": recording, "start": 0.0, "end": 0.5,
                            "salience": 1, "fold": fold, "classID": number, "class": label,
                        }
                    )  # fmt: skip
    table(root / "metadata" / "UrbanSound8K.csv", rows)
    return root

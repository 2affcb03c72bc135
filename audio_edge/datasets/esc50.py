"""ESC-50 and ESC-10 (Piczak 2015): 5-second environmental sounds in five official folds."""

from __future__ import annotations

from pathlib import Path

from audio_edge.config import DataConfig
from audio_edge.datasets import folds
from audio_edge.datasets.folds import Entry
from audio_edge.datasets.index import Index


def index(data: DataConfig, *, seed: int) -> Index:
    """Index a tree of `audio/<fold>-<source>-<take>-<class>.wav` or .ogg, and `meta/esc50.csv`.

    The official fold `data.fold` judges. Clips of one source, which is a recording of Freesound,
    never stand on both sides of a split. `data.esc10` leaves the ten classes of ESC-10. Published
    scores are the mean accuracy over the five folds. All 2,000 clips of 5 s at 16 kHz take 320 MB.
    """
    return folds.index(table(data), data, entries(data), seed=seed)


def table(data: DataConfig) -> Path:
    """Where the table of the clips is."""
    return Path(data.root) / "meta" / "esc50.csv"


def entries(data: DataConfig) -> list[Entry]:
    """The clips of the table, all of them unless `data.esc10`."""
    found = []
    for row in folds.read(table(data), "filename", "fold", "category", *["esc10"] * data.esc10):
        if data.esc10 and row["esc10"].lower() != "true":
            continue
        name = row.file("filename")
        parts = name.split("-")
        row.require(len(parts) == 4, "filename", "<fold>-<source>-<take>-<class>.<type>")
        path = Path(data.root) / "audio" / name
        found.append(Entry(path, row.text("category"), row.fold(data.kind), parts[1]))
    return found

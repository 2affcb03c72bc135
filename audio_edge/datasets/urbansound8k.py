"""UrbanSound8K (Salamon et al. 2014): street sounds of up to 4 s in ten official folds."""

from __future__ import annotations

from pathlib import Path

from audio_edge.config import DataConfig
from audio_edge.datasets import folds
from audio_edge.datasets.folds import Entry
from audio_edge.datasets.index import Index


def index(data: DataConfig, *, seed: int) -> Index:
    """Index a tree of `audio/fold1` to `audio/fold10`, and `metadata/UrbanSound8K.csv`.

    The official fold `data.fold` judges. Slices of one recording of Freesound (`fsID`) never stand
    on both sides of a split. Published scores are the mean accuracy over the ten folds. A stage
    holds its clips in memory: the 8,732 slices of 4 s at 16 kHz take 1.1 GB.
    """
    return folds.index(table(data), data, entries(data), seed=seed)


def table(data: DataConfig) -> Path:
    """Where the table of the clips is."""
    return Path(data.root) / "metadata" / "UrbanSound8K.csv"


def entries(data: DataConfig) -> list[Entry]:
    """The clips of the table."""
    found = []
    for row in folds.read(table(data), "slice_file_name", "fsID", "fold", "class"):
        fold = row.fold(data.kind)
        path = Path(data.root) / "audio" / f"fold{fold}" / row.file("slice_file_name")
        found.append(Entry(path, row.text("class"), fold, row.text("fsID")))
    return found

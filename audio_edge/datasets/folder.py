"""Any folder of folders: one subfolder a label, split by speaker where names tell who speaks."""

from __future__ import annotations

from pathlib import Path

from audio_edge.config import DataConfig
from audio_edge.datasets.index import (
    NOISE_FOLDER,
    Clip,
    Index,
    folders,
    labels_of,
    speaker,
    split_groups,
)


def index(data: DataConfig, *, seed: int) -> Index:
    """Index `data.root`.

    It holds `<label>/<speaker>_nohash_<n>.wav`, `<label>/<speaker>/*.wav` or `<label>/*.wav`.
    Without a speaker in the names each file is a group of its own; then clips of one person may
    stand on both sides of the split and the accuracy is flattered.
    """
    root = Path(data.root)
    found = folders(root)
    labels, classes = labels_of(data, found)
    rows = [
        (path, label, speaker(path, root / folder), folder)
        for folder, label in classes.items()
        for path in found[folder]
    ]
    groups = [group for _, _, group, _ in rows]
    splits = split_groups(groups, seed=seed, val_share=data.val_share, test_share=data.test_share)
    clips = tuple(
        Clip(path, label, group, splits[group], word) for path, label, group, word in rows
    )
    return Index(root, labels, clips, tuple(found.get(NOISE_FOLDER, ())), data.unknown_apart)

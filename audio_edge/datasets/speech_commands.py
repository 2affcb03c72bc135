"""Google Speech Commands (Warden 2018): the official split by speaker, silence from noise files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from audio_edge.config import SILENCE, DataConfig
from audio_edge.datasets.index import NOISE_FOLDER, Clip, Index, folders, labels_of, speaker
from audio_edge.errors import UserError

_MAX_PER_CLASS = 2**27 - 1


def which_set(speaker_id: str, *, val_percent: float = 10.0, test_percent: float = 10.0) -> str:
    """The data set's own rule: the SHA-1 of the speaker id, as a percentage, says which set.

    Args:
        speaker_id: The file name before `_nohash_`.
        val_percent: Percentage of speakers in validation.
        test_percent: Percentage of speakers in testing.

    Returns:
        "validation", "testing" or "training".
    """
    digest = int(hashlib.sha1(speaker_id.encode("utf-8", "surrogateescape")).hexdigest(), 16)
    percent = (digest % (_MAX_PER_CLASS + 1)) * (100.0 / _MAX_PER_CLASS)
    if percent < val_percent:
        return "validation"
    return "testing" if percent < val_percent + test_percent else "training"


def split_of(speaker_id: str, data: DataConfig) -> str | None:
    """Our split of a speaker: "train", "val", "test", or None for one that takes no part.

    With `test_set = "testing"` the official splits serve as they are. With "validation" the
    official validation speakers judge, a `val_share` of the training speakers selects, and official
    testing speakers take no part, so that they can judge later.
    """
    official = which_set(speaker_id)
    if data.test_set == "testing":
        return {"training": "train", "validation": "val", "testing": "test"}[official]
    if official != "training":
        return "test" if official == "validation" else None
    select = which_set(f"selection:{speaker_id}", val_percent=100 * data.val_share, test_percent=0)
    return "val" if select == "validation" else "train"


def index(data: DataConfig) -> Index:
    """Index a tree of `<word>/<speaker>_nohash_<n>.wav` or .flac, and `_background_noise_`."""
    root = Path(data.root)
    found = folders(root)
    labels, classes = labels_of(data, found)
    noise = tuple(found.get(NOISE_FOLDER, ()))
    if SILENCE in labels and not noise:
        raise UserError(
            f"{root}: data.silence needs recordings in {NOISE_FOLDER}; "
            "put the noise files there or set it to false"
        )
    clips = []
    for folder, label in classes.items():
        for path in found[folder]:
            group = speaker(path, root / folder)
            split = split_of(group, data)
            if split:
                clips.append(Clip(path, label, group, split, folder))
    return Index(root, labels, tuple(clips), noise, data.unknown_apart)

"""Further clips that training alone hears: `data.extra`."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from audio_edge.config import SILENCE, UNKNOWN, DataConfig
from audio_edge.datasets import manifest
from audio_edge.datasets.index import NOISE_FOLDER, Clip, Index, folders, speaker
from audio_edge.errors import UserError

_log = logging.getLogger(__name__)


def add(index: Index, data: DataConfig) -> Index:
    """The index with the recordings of `data.extra`, one subfolder a word, in the training split.

    A word that is no label counts as "unknown" where that is one, and is left out elsewhere. Who
    judges is not heard: clips of those speakers are left out, and a warning says how many.

    Raises:
        UserError: A folder holds no word that is learnt, or is one of shards.
    """
    judges = {clip.group for clip in index.clips if clip.split != "train"}
    clips, judged = [], 0
    for place in data.extra:
        root = Path(place)
        if manifest.find(root):
            raise UserError(
                f"{root}: data.extra takes recordings, not shards; give the tree they came from"
            )
        taken = 0
        for word, paths in folders(root, "data.extra").items():
            label = word if word in index.labels else UNKNOWN
            if label not in index.labels or word in (NOISE_FOLDER, SILENCE):
                continue
            for path in paths:
                group = speaker(path, root / word)
                taken += 1
                if group in judges:
                    judged += 1
                else:
                    clips.append(Clip(path, label, group, "train", word, root=root))
        if not taken:
            raise UserError(
                f"{root}: data.extra: no recordings of {', '.join(index.labels)}; "
                "put one subfolder a label there"
            )
    if judged:
        _log.warning("data.extra: %d recordings left out, whose speakers judge", judged)
    return dataclasses.replace(index, clips=index.clips + tuple(clips))

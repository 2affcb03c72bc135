"""How a switched config did: its float stage on the selection clips, clean, in noise and silent.

The test clips are not opened: what is chosen by the table must not have seen them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import compress
from typing import Any

import numpy as np

from audio_edge import evaluation, files, noisy
from audio_edge.augment import NoiseBank
from audio_edge.config import SILENCE, Config
from audio_edge.datasets import pipeline
from audio_edge.datasets.pipeline import Split
from audio_edge.errors import UserError
from audio_edge.learner import Material
from audio_edge.run import Run

CLEAN = "clean"
_LEAST = 1e-7  # probability, or one clip of a sure model would make the loss infinite


def clip_sets(config: Config, material: Material, snrs_db: Sequence[float]) -> dict[str, Split]:
    """The clips that every variant is judged on, by name.

    Args:
        config: Under test; its seed draws the noise that each clip gets.
        material: Of that seed.
        snrs_db: Ratios; the noise is what is kept for selection.

    Returns:
        All selection clips as CLEAN, those of silence as SILENCE if it is a class, and the others
        in noise as "10 dB" and so on.
    """
    clips, labels = material.val, material.index.labels
    sets = {CLEAN: clips}
    if SILENCE in labels:
        sets[SILENCE] = _part(clips, clips.labels == labels.index(SILENCE))
    spoken = _part(clips, noisy.sounding(clips, labels))
    bank = pipeline.noise_bank(config, material.index, "val")
    for ratio_db in snrs_db:
        mixed = noisy.mix(spoken.waveforms, bank, snr_db=ratio_db, seed=config.run.seed)
        sets[f"{ratio_db:g} dB"] = dataclasses.replace(spoken, waveforms=mixed)
    return sets


def with_noise(material: Material, config: Config) -> Material:
    """The material with the noise that a config trains with; all else is as decoded."""
    noises = list(pipeline.noise_bank(config, material.index, "train").values())
    bank = NoiseBank(noises, config.data.clip_samples)
    return dataclasses.replace(material, bank=bank)


def judge(run: Run, sets: dict[str, Split]) -> dict[str, dict[str, Any]]:
    """Judge the float stage of a run, unless what is in its results is of the same stage and clips.

    Returns:
        For each set: loss (mean of -ln of the probability of the truth, in nats) and right (of each
        clip by its name, 1 or 0).
    """
    where = run.results / "ablation.json"
    heard_of = [(name, clips.names, clips.labels.tolist()) for name, clips in sets.items()]
    key = files.fingerprint([run.require("float")["fingerprint"], heard_of])
    kept = files.read_json(where, dict) if where.exists() else {}
    if kept.get("key") != key:
        score, labels, _ = evaluation.scorer(run.stage("float"))
        judged = {}
        for name, clips in sets.items():
            _, probs = evaluation.evaluate(score, labels, clips)
            of_truth = probs[np.arange(len(probs)), clips.labels].astype(np.float64)
            rights = (probs.argmax(axis=1) == clips.labels).astype(int).tolist()
            judged[name] = {
                "loss": float(-np.log(np.maximum(of_truth, _LEAST)).mean()),
                "right": dict(zip(clips.names, rights, strict=True)),
            }
        kept = {"key": key, "sets": judged}
        files.write_json(where, kept)
    try:
        return {name: {key: kept["sets"][name][key] for key in ("loss", "right")} for name in sets}
    except (LookupError, TypeError) as error:
        raise UserError(f"{where}: damaged; delete it and run again") from error


def _part(clips: Split, chosen: np.ndarray) -> Split:
    names = tuple(compress(clips.names, chosen))
    return Split(clips.waveforms[chosen], clips.labels[chosen], names)

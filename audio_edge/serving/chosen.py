"""Which clips of what was heard are worth a person's time: cut out where the sound is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_edge import audio
from audio_edge.detector import Detection, Detector
from audio_edge.interpreter import Interpreter
from audio_edge.review import choice
from audio_edge.review.items import MAX_S, digest_of
from audio_edge.smoother import is_ignored
from audio_edge.streaming_interpreter import StreamingInterpreter

Heard = Interpreter | StreamingInterpreter


@dataclass(frozen=True)
class Chosen:
    """A clip that belongs into the review queue.

    Attributes:
        samples: int16 [n], n at most the clip of the model.
        start_s: Where it begins in the recording or stream.
        facts: sha256, why, scores, model, model_sha256, sample_rate and samples, as the queue
            keeps them.
    """

    samples: np.ndarray
    start_s: float
    facts: dict[str, Any]

    def told(self) -> dict[str, Any]:
        """What a client learns of it."""
        return {
            "clip": self.facts["sha256"], "start_s": self.start_s, "why": self.facts["why"],
        }  # fmt: skip


def choose(
    model: Heard, other: Heard | None, waveform: np.ndarray, starts: Iterable[int],
    wish: Mapping[str, Any], by: Mapping[str, str],
) -> list[Chosen]:  # fmt: skip
    """Those of some clips that `choice.reason` finds worth it, each sound once.

    Args:
        model: What heard them.
        other: Another of the same labels and lengths, for a second opinion.
        waveform: float32 [samples > 0] at the model's rate.
        starts: Where the clips begin; a recording that is shorter than one is a clip as it is.
        wish: least and control, see `choice.reason`; or why, of clips that are wanted anyway.
        by: model and model_sha256, as the queue keeps them.
    """
    rate, length = model.sample_rate, min(model.clip_samples, int(MAX_S * model.sample_rate))
    found: dict[str, Chosen] = {}
    for start in starts:
        samples = audio.to_int16(waveform[start : start + length])
        key, scores = digest_of(samples, rate), _scores(model, samples)
        why = wish.get("why") or choice.reason(
            scores, _scores(other, samples) if other else None, key=key, least=wish["least"],
            control=wish["control"],
        )  # fmt: skip
        if why is not None:
            facts = {
                **by, "sha256": key, "why": why, "scores": scores, "sample_rate": rate,
                "samples": len(samples),
            }  # fmt: skip
            found.setdefault(key, Chosen(samples, start / rate, facts))
    return list(found.values())


def starts(
    detector: Detector, heard: Iterable[Detection], times: np.ndarray, scores: np.ndarray,
    samples: int,
) -> list[int]:  # fmt: skip
    """Where the clips around detections begin; without any, that of the strongest score.

    That is where a word that was missed would be; silence and "unknown" are not asked.

    Args:
        detector: What heard the recording.
        heard: As `Detector.trace` gives it, and times and scores too.
        times: See there.
        scores: See there.
        samples: Of the recording.
    """
    model = detector.model
    centres = [item.time_s for item in heard]
    if not centres:
        words = [not is_ignored(label) for label in model.labels]
        found = scores[:, words] if any(words) else scores
        centres = [float(times[int(found.max(axis=1).argmax())])]
    return [start_at(centre, model, samples) for centre in centres]


def start_at(centre_s: float, model: Heard, samples: int) -> int:
    """Where the clip around a second begins, so that it lies within the recording."""
    start = round(centre_s * model.sample_rate - model.clip_samples / 2)
    return max(0, min(start, samples - model.clip_samples))


def alike(model: Heard, other: Heard) -> bool:
    """Whether two models hear the same in the same clips, so that they can disagree."""
    return (model.labels, model.sample_rate, model.clip_samples) == (
        other.labels, other.sample_rate, other.clip_samples
    )  # fmt: skip


def _scores(model: Heard, samples: np.ndarray) -> dict[str, float]:
    missing = model.clip_samples - len(samples)
    probs = model(np.pad(samples, (missing // 2, missing - missing // 2)))
    return dict(zip(model.labels, map(float, probs), strict=True))

"""Distillation: what trained networks make of the clips that a smaller one learns from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from audio_edge import classifiers, frontends, pretrained
from audio_edge.errors import UserError
from audio_edge.run import Run


def origins(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What the card of a pupil says of each: its name, and whose file it began with or hears by."""
    found = []
    for run in runs:
        encoder, weights = run.config.encoder, run.config.model
        path, licence = encoder.path or weights.weights, encoder.licence or weights.weights_licence
        said = {"name": run.config.run.name, "fingerprint": run.require("float")["fingerprint"]}
        whose = {**pretrained.origin(path), "licence": licence} if path else {}
        found.append({**said, **whose})
    return found


class Teachers:
    """Several trained networks, asked for the mean of their probabilities.

    Each has a front end of its own and hears the clips as they are augmented, not hidden in part.

    Args:
        runs: With a finished float stage.
        outputs: Names of what the pupil tells apart; theirs must be the same.
        temperature: Divides the logits.
        samples: Of what they hear; None is a whole clip.
    """

    def __init__(
        self, runs: Sequence[Run], outputs: Sequence[str], temperature: float,
        samples: int | None = None,
    ):  # fmt: skip
        self.temperature = temperature
        self._networks = []
        several = any(run.config.data.multi_label for run in runs)
        self._squash = tf.nn.sigmoid if several else tf.nn.softmax
        for run in runs:
            if run.require("float").get("outputs") != list(outputs):
                raise UserError(
                    f"{run.stage('float')}: tells other words apart than its pupil; "
                    "train it anew with --force"
                )
            network = classifiers.load(run, "float")
            network.trainable = False
            network = classifiers.cropped(network, run.config, samples)
            self._networks.append((frontends.load(run), network))

    def __call__(self, waveforms: tf.Tensor) -> tf.Tensor:
        """float32 [batch, samples] -> probabilities [batch, outputs]."""
        probs = [
            self._squash(tf.cast(network(front(waveforms)), tf.float32) / self.temperature)
            for front, network in self._networks
        ]
        return tf.add_n(probs) / len(probs)

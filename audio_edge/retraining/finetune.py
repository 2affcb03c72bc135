"""The float stage of a run that goes on where another one's ended."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tf_keras as keras

from audio_edge import classifiers, frontends, train
from audio_edge.config import DistillConfig
from audio_edge.learner import Material
from audio_edge.models import training_layers
from audio_edge.run import Run


def successor(run: Run, where: Path, *, epochs: int, learning_rate: float) -> Run:
    """A run in another directory with the settings of `run`, but for its float stage.

    It has no teachers: they have made the same mistakes, and would teach them anew. It is short and
    hears other clips each time, so that lessons would be of no use.

    Args:
        run: Finished.
        where: Directory.
        epochs: Of the float stage.
        learning_rate: Its peak.
    """
    config = run.config
    return Run(where, dataclasses.replace(
        config, run=dataclasses.replace(config.run, dir=str(where)), distill=DistillConfig(),
        model=dataclasses.replace(config.model, weights="", frozen=False),
        train=dataclasses.replace(
            config.train, epochs=epochs, learning_rate=learning_rate, patience=0, lessons=0,
            warmup_epochs=min(config.train.warmup_epochs, 0.1 * epochs),
        ),
    ))  # fmt: skip


def finetune(
    run: Run, start: Run, material: Material, *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:  # fmt: skip
    """Train the float stage of `run`, or resume it, from that of `start`; returns its record.

    The front end stays as it is.
    """
    settings = run.config.train
    train.setup(run.config, mixed_precision=settings.mixed_precision)
    classifier = training_layers.for_training(classifiers.load(start, "float", dropout=True))
    begun = start.require("float").get("initial_weights")
    facts = {"initial_weights": begun} if begun else {}
    return train.fit(
        run, "float", frontends.load(start), classifier, material, epochs=settings.epochs,
        learning_rate=settings.learning_rate, warmup_epochs=settings.warmup_epochs,
        callbacks=callbacks, finish=lambda model: (model, facts),
    )  # fmt: skip

"""One candidate: trained, compressed and converted in a run of its own, and judged.

It is judged by its int8 file on the selection clips. The test clips are not even opened: they are
there to say, afterwards, what the best candidate is worth.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import tf_keras as keras

from audio_edge import compress, evaluation, export
from audio_edge.config import Config
from audio_edge.learner import Material
from audio_edge.run import TRAINED, Run
from audio_edge.tuning.limit import sizes

Callbacks = Callable[[str], Sequence[keras.callbacks.Callback]]


def shortened(config: Config, share: float) -> Config:
    """The config with that share of the epochs of each stage, at least one.

    A candidate is always trained from its first epoch, never on from where it stood with fewer:
    the cosine has brought the learning rate to zero there, and what a second one would reach is
    reached by no config. This way the figure of each candidate is what its config gives, and the
    first rungs, which are annealed too, rank by what a short training is worth. It costs half as
    much again as resuming would, at a factor of three between the rungs.
    """
    if share == 1:
        return config

    def fewer(section: Any) -> Any:
        return dataclasses.replace(section, epochs=math.ceil(section.epochs * share - 1e-9))

    learnt = dataclasses.replace(config.train, warmup_epochs=config.train.warmup_epochs * share)
    return dataclasses.replace(
        config,
        train=fewer(learnt),
        channels=fewer(config.channels),
        prune=fewer(config.prune),
        cluster=fewer(config.cluster),
        quantize=fewer(config.quantize),
    )


def begun(run: Run) -> bool:
    """Whether an earlier process has worked on it."""
    return any(run.stage(name).exists() for name in TRAINED)


def judge(
    run: Run, material: Material, *, callbacks: Callbacks = lambda stage: ()
) -> dict[str, Any]:
    """Do what is left of a run up to its int8 file, and judge that.

    Args:
        run: Stages that are finished are kept, one that was interrupted goes on.
        material: Training and selection clips.
        callbacks: Further Keras callbacks of a stage.

    Returns:
        accuracy (of the int8 file on the selection clips), interval (95 %), n, float_accuracy (of
        the float stage on the same), params, size_bytes and classifier_bytes.

    Raises:
        UserError: The training failed, as by a loss that is not finite.
    """
    keras.backend.clear_session()  # the graphs of the trial before
    data = material.index.fingerprint()
    for stage in run.stages:
        record = run.record(stage)
        if not record or record["fingerprint"] != run.fingerprint(stage, data):
            compress.MAKERS[stage](run, material, callbacks=callbacks(stage))
    path = export.convert(run, "int8")
    score, labels, _ = evaluation.scorer(path)
    judged, _ = evaluation.evaluate(score, labels, material.val)
    return {
        **{key: judged[key] for key in ("accuracy", "interval", "n")},
        "float_accuracy": run.require("float").get("val_accuracy"),
        "params": run.require(run.stages[-1])["params"],
        **sizes(path),
    }

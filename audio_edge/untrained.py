"""The int8 file of a model as it is before training, for what does not depend on training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from audio_edge import classifiers, compress, export, files, frontends
from audio_edge.config import ChannelsConfig, ClusterConfig, Config, DistillConfig
from audio_edge.run import Run


def convert(
    config: Config, labels: Sequence[str], folder: Path, *, outputs: Sequence[int] | None = None
) -> Path:
    """Make a run of untrained stages in `folder` and convert it to int8; returns the file.

    The ranges of the activations are those that quantisation-aware training takes from one batch,
    of noise over the range of the features.

    Args:
        config: Settings; nothing is written where `run.dir` points.
        labels: Of the classes.
        folder: For the run.
        outputs: Number of the label that each output counts for; None is one output a label.

    Raises:
        UserError: The settings do not make a model, or it does not convert.
    """
    config = dataclasses.replace(
        config,
        run=dataclasses.replace(config.run, dir=str(folder)),
        channels=ChannelsConfig(),
        prune=dataclasses.replace(config.prune, sparsity=0.0, pattern=""),
        cluster=ClusterConfig(),
        distill=DistillConfig(),
    )
    outputs = list(range(len(labels))) if outputs is None else list(outputs)
    run = Run.create(config)
    run.save()
    plain = classifiers.build(config, len(outputs), dropout=False)
    classifier = compress.quantized(config, plain)
    low, high = frontends.limits(config)
    noise = np.random.default_rng(0).uniform(low, high, (8, *classifier.input_shape[1:]))
    classifier(tf.constant(noise, tf.float32), training=True)
    record = {
        "stage": "qat", "fingerprint": run.fingerprint("qat", ""), "labels": list(labels),
        "output_labels": outputs, "params": int(classifier.count_params()),
    }  # fmt: skip
    files.write_json(run.stage("qat") / "stage.json", record)
    classifier.save_weights(run.stage("qat") / "weights.h5")
    frontends.save(frontends.build(config), run.stage("float"))
    return export.convert(run, "int8")

"""A model as it is before training, for what does not depend on training: its file, its stream."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge import classifiers, compress, export, files, frontends, streaming
from audio_edge.config import ChannelsConfig, ClusterConfig, Config, DistillConfig
from audio_edge.errors import UserError
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
    return export.convert(run, "int8", trained=False)


def require_streams(config: Config) -> None:
    """Stop with a clear message unless the settings make files whose streams equal their clips.

    Raises:
        UserError: A layer looks ahead, hears the edge of a clip, or needs the clip as a whole, or
            the int8 file would be quantised after the training.
    """
    if not config.quantize.epochs:
        raise UserError("--streaming needs quantisation-aware training; set quantize.epochs")
    waveform = keras.Input([config.data.clip_samples], name="waveform")
    logits = classifiers.build(config, 2, dropout=False)(frontends.build(config)(waveform))
    made = streaming.to_streaming(keras.Model(waveform, logits))
    if not made.exact:
        raise UserError(
            "--streaming would not equal the file of clips: 'causal' convolutions and PCEN hear a "
            'clip\'s edge; set model.padding = "valid" and no PCEN, or stream it as it is with '
            "tflite.convert --streaming"
        )

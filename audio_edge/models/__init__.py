"""Classifiers: functions from a feature shape to a Keras model that gives logits."""

from __future__ import annotations

from collections.abc import Callable

import tf_keras as keras

from audio_edge.models.ds_cnn import ds_cnn

MODELS: dict[str, Callable[..., keras.Model]] = {"ds_cnn": ds_cnn}

__all__ = ["MODELS", "ds_cnn"]

"""Classifiers: functions from a feature shape to a Keras model that gives logits."""

from __future__ import annotations

from collections.abc import Callable

import tf_keras as keras

from audio_edge.models.bc_resnet import bc_resnet
from audio_edge.models.conv_pool import conv_pool
from audio_edge.models.crnn import crnn
from audio_edge.models.ds_cnn import ds_cnn
from audio_edge.models.kwt import kwt
from audio_edge.models.mobile_cnn import mobile_cnn
from audio_edge.models.mobile_tcn import mobile_tcn
from audio_edge.models.tc_resnet import tc_resnet
from audio_edge.models.yamnet import yamnet

MODELS: dict[str, Callable[..., keras.Model]] = {
    "ds_cnn": ds_cnn,
    "bc_resnet": bc_resnet,
    "tc_resnet": tc_resnet,
    "mobile_cnn": mobile_cnn,
    "mobile_tcn": mobile_tcn,
    "crnn": crnn,
    "kwt": kwt,
    "yamnet": yamnet,
    "conv_pool": conv_pool,
}

__all__ = [
    "MODELS",
    "bc_resnet",
    "conv_pool",
    "crnn",
    "ds_cnn",
    "kwt",
    "mobile_cnn",
    "mobile_tcn",
    "tc_resnet",
    "yamnet",
]

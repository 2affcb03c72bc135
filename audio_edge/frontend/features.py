"""Several features of the same frames as one layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import tensorflow as tf
import tf_keras as keras

from audio_edge.config import FrontendConfig
from audio_edge.frontend.base import Analysis, Analyzer, Frontend
from audio_edge.frontend.chroma import Chroma
from audio_edge.frontend.contrast import SpectralContrast
from audio_edge.frontend.level import RMS, ZeroCrossingRate
from audio_edge.frontend.logmel import LogMel
from audio_edge.frontend.mfcc import MFCC
from audio_edge.frontend.pcen import PCEN
from audio_edge.frontend.shape import (
    SpectralBandwidth,
    SpectralCentroid,
    SpectralFlatness,
    SpectralRolloff,
)
from audio_edge.frontend.waveform import Waveform

LAYERS: dict[str, type[Frontend]] = {
    "logmel": LogMel, "mfcc": MFCC, "pcen": PCEN, "zcr": ZeroCrossingRate, "rms": RMS,
    "centroid": SpectralCentroid, "bandwidth": SpectralBandwidth, "rolloff": SpectralRolloff,
    "flatness": SpectralFlatness, "contrast": SpectralContrast, "chroma": Chroma,
    "waveform": Waveform,
}  # fmt: skip


@keras.utils.register_keras_serializable(package="audio_edge")
class Features(Frontend):
    """Features stacked along the bands, in the order given; their spectrum is computed once.

    `Features(["logmel", "zcr", "contrast"])` gives 40 + 1 + 7 bands. They come in their own units,
    so that a classifier wants `normalize`.

    Args:
        features: Names out of `LAYERS`; None takes those of the config.
        config: Frame, transform and feature settings.
        sample_rate: Hz.
        dft: The form of the transform.
        kwargs: Of a Keras layer.
    """

    feature = "features"

    def __init__(
        self,
        features: Sequence[str] | None = None,
        config: FrontendConfig | dict[str, Any] | None = None,
        *,
        sample_rate: int = 16000,
        dft: str = "rfft",
        **kwargs: Any,
    ):
        config = FrontendConfig(**config) if isinstance(config, dict) else config
        config = config or FrontendConfig()
        if features is not None:
            names = (features,) if isinstance(features, str) else tuple(features)
            config = dataclasses.replace(config, features=names)
        super().__init__(config, sample_rate=sample_rate, dft=dft, **kwargs)
        plain = dataclasses.replace(config, normalize=False)
        self.parts = [
            LAYERS[name](plain, sample_rate=sample_rate, dft=dft) for name in config.features
        ]

    @property
    def width(self) -> int:
        """Bands of all features."""
        return sum(part.width for part in self.parts)

    @cached_property
    def analyzer(self) -> Analyzer:
        """What the formulas read from."""
        reads = {part.reads for part in self.parts}
        return Analyzer(self.config, self.sample_rate, self.dft, reads)

    def separate(self, waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        """Name of a feature -> [batch, frames, its bands], of waveforms [batch, samples]."""
        analysis = Analysis(self.analyzer, tf.convert_to_tensor(waveform, tf.float32))
        return {part.feature: part.extract(analysis) for part in self.parts}

    def extract(self, analysis: Analysis) -> tf.Tensor:
        """The features of an analysis, next to each other: [batch, frames, width]."""
        parts = [part.extract(analysis) for part in self.parts]
        return tf.concat(parts, axis=-1) if len(parts) > 1 else parts[0]


def build(config: FrontendConfig, *, sample_rate: int, dft: str = "rfft") -> Frontend:
    """The front end of a `[frontend]` section.

    Raises:
        ValueError: The features do not fit the sample rate or the frames.
    """
    if len(config.features) == 1:
        return LAYERS[config.features[0]](config, sample_rate=sample_rate, dft=dft)
    return Features(config=config, sample_rate=sample_rate, dft=dft)

"""What every front end shares: its settings, and an analysis that computes each part once."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge import mel
from audio_edge.config import FrontendConfig
from audio_edge.frontend import melbank, transform
from audio_edge.frontend.framing import frame

_READ = 1e-9  # a smaller mel weight is the rounding of an edge that lies on a bin


class Analyzer:
    """The constants behind an `Analysis`: transform, bins and mel weights.

    Args:
        config: Frame, transform and mel settings.
        sample_rate: Hz.
        dft: The form of the transform, one of `transform.FORMS`.
        reads: What the features read: "frames", "mel" or "power". Only "power" takes all bins.
    """

    def __init__(self, config: FrontendConfig, sample_rate: int, dft: str, reads: set[str]):
        self.config, self.reads = config, reads
        self._sample_rate, self._dft = sample_rate, dft

    @cached_property
    def _mel(self) -> np.ndarray:
        c = self.config
        return mel.filterbank(
            sample_rate=self._sample_rate, n_fft=c.n_fft, n_mels=c.n_mels,
            fmin=c.fmin, fmax=c.fmax, scale=c.mel_scale,
        )  # fmt: skip

    @cached_property
    def transform(self) -> transform.Transform:
        """From waveforms to the power of the bins that are read."""
        every = np.arange(self.config.n_fft // 2 + 1)
        read = every if "power" in self.reads else np.flatnonzero(self._mel.max(axis=1) > _READ)
        return transform.make(self._dft, self.config, read)

    @cached_property
    def weights(self) -> np.ndarray:
        """Mel weights of each column of the transform: [columns, n_mels]."""
        return melbank.columns(self._mel, self.transform.bins)

    @cached_property
    def order(self) -> np.ndarray | None:
        """The column of each bin; None where they stand in order."""
        every = np.arange(self.config.n_fft // 2 + 1)
        bins = self.transform.bins
        return None if np.array_equal(bins, every) else transform.positions(bins, every)


class Analysis:
    """The frames and spectra of one batch of waveforms; each part is computed when first asked for.

    Args:
        analyzer: Settings and constants.
        waveform: [batch, samples] in [-1, 1].
        level: [batch, n_mels], what PCEN goes on from in a stream, and leaves for the next packet;
            None begins with the first frame.
    """

    def __init__(self, analyzer: Analyzer, waveform: tf.Tensor, *, level: tf.Tensor | None = None):
        self.analyzer, self.config, self.waveform = analyzer, analyzer.config, waveform
        self.level = level

    @cached_property
    def frames(self) -> tf.Tensor:
        """Samples of each frame, without a window: [batch, frames, frame_length]."""
        return frame(self.waveform, self.config.frame_length, self.config.hop_length)

    @cached_property
    def _columns(self) -> tf.Tensor:
        return self.analyzer.transform(self.waveform)

    @cached_property
    def power(self) -> tf.Tensor:
        """Power of each bin, 0 to n_fft / 2, Hann-windowed: [batch, frames, n_fft // 2 + 1]."""
        order = self.analyzer.order
        return self._columns if order is None else tf.gather(self._columns, order, axis=2)

    @cached_property
    def magnitude(self) -> tf.Tensor:
        """Square root of `power`."""
        return tf.sqrt(self.power)

    @cached_property
    def mel_power(self) -> tf.Tensor:
        """Power, or magnitude if `exponent` is 1, of each mel band: [batch, frames, n_mels]."""
        columns = tf.sqrt(self._columns) if self.config.exponent == 1 else self._columns
        return melbank.project(columns, self.analyzer.weights, self.analyzer.transform.block)


class Frontend(keras.layers.Layer):
    """A layer from raw PCM to a feature; the subclasses are the features.

    Each has a `feature`, its name in the settings, says what it `reads` of the analysis ("frames",
    "mel" or "power"), and gives `width`, its number of bands, and `extract`, its formula.

    Args:
        config: Frame, transform and feature settings.
        sample_rate: Hz.
        dft: How the Fourier transform is computed: "rfft" to train, "factored" (the fastest),
            "compact" (the smallest) or "dense" in a .tflite file. All agree within float32.

    Input shape: [batch, samples] in [-1, 1], samples >= frame_length.
    Output shape: [batch, frames, width, 1], frames = 1 + (samples - frame_length) // hop_length.
    """

    feature: ClassVar[str] = ""
    reads: ClassVar[str] = "power"

    def __init__(
        self,
        config: FrontendConfig | dict[str, Any] | None = None,
        *,
        sample_rate: int = 16000,
        dft: str = "rfft",
        **kwargs: Any,
    ):
        super().__init__(**{"name": self.feature or None, "dtype": "float32", **kwargs})
        self.config = (
            FrontendConfig(**config) if isinstance(config, dict) else config or FrontendConfig()
        )
        self.sample_rate, self.dft = sample_rate, dft

    def build(self, input_shape: tf.TensorShape) -> None:
        """Make the constants, and the weights of the normalisation, which at first does nothing.

        Raises:
            ValueError: The settings do not fit together, or the sample rate.
        """
        if "mel" in self.analyzer.reads:
            self.analyzer.weights  # noqa: B018, an error in `call` would come wrapped by Keras
        if self.config.normalize:
            shape = [self.width]
            self.mean = self.add_weight("mean", shape, initializer="zeros", trainable=False)
            self.scale = self.add_weight("scale", shape, initializer="ones", trainable=False)
        super().build(input_shape)

    @property
    def width(self) -> int:
        """Bands of the feature."""
        raise NotImplementedError

    def extract(self, analysis: Analysis) -> tf.Tensor:
        """The feature of an analysis: [batch, frames, width]."""
        raise NotImplementedError

    @cached_property
    def analyzer(self) -> Analyzer:
        """What the formula reads from."""
        return Analyzer(self.config, self.sample_rate, self.dft, {self.reads})

    def call(self, waveform: tf.Tensor) -> tf.Tensor:
        """[batch, samples] -> [batch, frames, width, 1]."""
        return self.finish(self.extract(Analysis(self.analyzer, waveform)))

    def finish(self, bands: tf.Tensor) -> tf.Tensor:
        """Normalise what `extract` gives: [batch, frames, width] -> [batch, frames, width, 1]."""
        if self.config.normalize:
            bands = (bands - self.mean) * self.scale
        return tf.expand_dims(bands, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments as plain values."""
        return {
            **super().get_config(),
            "config": dataclasses.asdict(self.config),
            "sample_rate": self.sample_rate,
            "dft": self.dft,
        }

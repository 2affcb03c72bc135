"""The convolutions that the classifiers share, in the form that quantisation-aware training folds.

Tensors are [batch, time, bands, channels]; a pair is always (time, bands).
"""

from __future__ import annotations

import tf_keras as keras

from audio_edge.models.dropout import StatelessDropout
from audio_edge.models.mean import Mean
from audio_edge.models.peak import Peak

Pair = tuple[int, int]


def channels(width: int, share: float) -> int:
    """A share of the width, rounded, at least 1."""
    return max(1, round(width * share))


class Convolutions:
    """Convolutions without bias, batch normalisation behind each, seeded one by one.

    In time they are 'valid' or 'causal' and never look ahead of their padding, so the network can
    stream. In frequency they are 'same', unless they take in all bands.

    Args:
        padding: 'valid' or 'causal', in time.
        seed: Seeds the weights.
    """

    def __init__(self, *, padding: str, seed: int):
        self.causal, self.seed = padding == "causal", seed
        self._seeds = iter(range(seed * 1000, seed * 1000 + 1000))

    def full(
        self, x: keras.KerasTensor, name: str, filters: int, kernel: Pair = (1, 1),
        stride: Pair = (1, 1), *, all_bands: bool = False, relu: bool = True,
        limit: float | None = None,
    ) -> keras.KerasTensor:  # fmt: skip
        """Convolve across channels, by ReLU up to `limit`.

        With `all_bands` one band is left, and kernel[1] is ignored.
        """
        kernel = (kernel[0], x.shape[2]) if all_bands else kernel
        x = self._pad(x, name, kernel, stride, all_bands=all_bands)
        layer = keras.layers.Conv2D(
            filters, kernel, stride, use_bias=False, kernel_initializer=self._he(), name=name
        )
        return _finish(layer(x), name, relu=relu, limit=limit)

    def depthwise(
        self, x: keras.KerasTensor, name: str, kernel: Pair, stride: Pair = (1, 1), *,
        dilation: int = 1, all_bands: bool = False, relu: bool = True, limit: float | None = None,
    ) -> keras.KerasTensor:  # fmt: skip
        """Convolve each channel by itself, `dilation` frames apart; else as `full`."""
        kernel = (kernel[0], x.shape[2]) if all_bands else kernel
        x = self._pad(x, name, kernel, stride, dilation=dilation, all_bands=all_bands)
        layer = keras.layers.DepthwiseConv2D(
            kernel, stride, dilation_rate=(dilation, 1), use_bias=False,
            depthwise_initializer=self._he(), name=name,
        )  # fmt: skip
        return _finish(layer(x), name, relu=relu, limit=limit)

    def beside(self, x: keras.KerasTensor, name: str, lost: int) -> keras.KerasTensor:
        """A shortcut beside convolutions of which 'valid' ones lose their first `lost` frames."""
        if self.causal or not lost:
            return x
        return keras.layers.Cropping2D(((lost, 0), (0, 0)), name=f"{name}_crop")(x)

    def head(
        self, x: keras.KerasTensor, n_classes: int, dropout: float, *, peak: bool = False
    ) -> keras.KerasTensor:
        """Mean over time and bands, dropout in training, logits [batch, n_classes].

        With `peak` the greatest frame stands beside the mean of all: what is short and what lasts
        is told apart.
        """
        frames = x
        x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
        if peak:
            frames = Mean(2, name="bands")(frames)
            x = keras.layers.Concatenate(name="beside")([x, Peak(name="peak")(frames)])
        x = StatelessDropout(dropout, seed=self.seed, name="dropout")(x) if dropout else x
        glorot = keras.initializers.GlorotUniform(seed=next(self._seeds))
        x = keras.layers.Conv2D(n_classes, 1, kernel_initializer=glorot, name="logits")(x)
        return keras.layers.Flatten(name="flatten")(x)

    def _he(self) -> keras.initializers.Initializer:
        return keras.initializers.HeNormal(seed=next(self._seeds))

    def _pad(
        self, x: keras.KerasTensor, name: str, kernel: Pair, stride: Pair, *,
        dilation: int = 1, all_bands: bool = False,
    ) -> keras.KerasTensor:  # fmt: skip
        past = (kernel[0] - 1) * dilation if self.causal else 0
        missing = max(kernel[1] - (x.shape[2] % stride[1] or stride[1]), 0)  # TensorFlow's 'same'
        missing = 0 if all_bands else missing
        if not past and not missing:
            return x
        sides = ((past, 0), (missing // 2, missing - missing // 2))
        return keras.layers.ZeroPadding2D(sides, name=f"{name}_pad")(x)


def _finish(
    x: keras.KerasTensor, name: str, *, relu: bool, limit: float | None = None
) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_bn")(x)
    return keras.layers.ReLU(limit, name=f"{name}_relu")(x) if relu else x

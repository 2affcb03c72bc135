"""DS-CNN: depthwise separable convolutions for keyword spotting."""

from __future__ import annotations

import tf_keras as keras

from audio_edge.models.dropout import StatelessDropout

STEM, KERNEL = (8, 4), (5, 3)  # (time, frequency)


def ds_cnn(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    width: int = 64,
    depth: int = 4,
    dropout: float = 0.0,
    padding: str = "valid",
    seed: int = 0,
) -> keras.Model:
    """DS-CNN (Zhang et al. 2017, "Hello Edge", table 5), with shortcuts and a frequency head.

    A strided stem, then depthwise separable blocks, the first of them strided, the others with a
    shortcut (He et al. 2016). Then a depthwise convolution over all of the frequency axis, as
    MobileFaceNets (Chen et al. 2018) have it instead of the mean, and the mean over time. Each
    convolution is followed by batch normalisation and ReLU, so that quantisation-aware training
    folds them. In time the convolutions are 'valid' or 'causal' and never look ahead of their
    padding, so the network can stream. In frequency they are 'same'.

    Args:
        input_shape: (frames, n_mels, 1).
        n_classes: Number of logits.
        width: Channels.
        depth: Depthwise separable blocks.
        dropout: Share dropped before the last layer, in training only.
        padding: 'valid' or 'causal', in time.
        seed: Seeds the weights and the dropout.

    Returns:
        Model [batch, frames, n_mels, 1] -> logits [batch, n_classes], no softmax.
    """
    seeds = iter(range(seed * 1000, seed * 1000 + 1000))
    causal = padding == "causal"

    def he() -> keras.initializers.Initializer:
        return keras.initializers.HeNormal(seed=next(seeds))

    def pad(
        x: keras.KerasTensor, name: str, kernel: tuple[int, int], stride: int
    ) -> keras.KerasTensor:
        past = kernel[0] - 1 if causal else 0
        missing = max(kernel[1] - (x.shape[2] % stride or stride), 0)  # TensorFlow's 'same'
        sides = (missing // 2, missing - missing // 2)
        return keras.layers.ZeroPadding2D(((past, 0), sides), name=f"{name}_pad")(x)

    def finish(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        x = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_bn")(x)
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    def depthwise(
        x: keras.KerasTensor, name: str, kernel: tuple[int, int], stride: int
    ) -> keras.KerasTensor:
        layer = keras.layers.DepthwiseConv2D(
            kernel, stride, use_bias=False, depthwise_initializer=he(), name=f"{name}_depthwise"
        )
        return finish(layer(x), f"{name}_depthwise")

    def pointwise(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        layer = keras.layers.Conv2D(
            width, 1, use_bias=False, kernel_initializer=he(), name=f"{name}_pointwise"
        )
        return finish(layer(x), f"{name}_pointwise")

    inputs = keras.Input(input_shape, name="logmel")
    x = pad(inputs, "stem", STEM, 2)
    stem = keras.layers.Conv2D(width, STEM, 2, use_bias=False, kernel_initializer=he(), name="stem")
    x = finish(stem(x), "stem")
    for block in range(depth):
        name, stride, shortcut = f"block{block}", 1 if block else 2, x
        x = depthwise(pad(x, name, KERNEL, stride), name, KERNEL, stride)
        x = pointwise(x, name)
        if block and not causal:  # 'valid' has lost the first frames
            early = ((KERNEL[0] - 1, 0), (0, 0))
            shortcut = keras.layers.Cropping2D(early, name=f"{name}_crop")(shortcut)
        if block:
            x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    x = pointwise(depthwise(x, "band", (1, x.shape[2]), 1), "band")
    x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    x = StatelessDropout(dropout, seed=seed, name="dropout")(x) if dropout else x
    head = keras.initializers.GlorotUniform(seed=next(seeds))
    x = keras.layers.Conv2D(n_classes, 1, kernel_initializer=head, name="logits")(x)
    return keras.Model(inputs, keras.layers.Flatten(name="flatten")(x), name="ds_cnn")

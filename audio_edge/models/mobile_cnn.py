"""A small MobileNetV2 for sound events."""

from __future__ import annotations

import tf_keras as keras

from audio_edge.models.convolutions import Convolutions, channels

# Expansion, channels over width, stride of the first block, as in table 2 of the paper.
STAGES = ((1, 0.5, 1), (6, 0.75, 2), (6, 1.0, 2), (6, 2.0, 2), (6, 3.0, 1), (6, 5.0, 2))
KERNEL, HEAD_SHARE = (3, 3), 8.0


def mobile_cnn(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    width: int = 32,
    depth: int = 2,
    dropout: float = 0.0,
    padding: str = "valid",
    seed: int = 0,
) -> keras.Model:
    """MobileNetV2 (Sandler et al. 2018, table 2) on features: for sound events of some seconds.

    Inverted residuals: a pointwise convolution widens, a depthwise one looks around, a linear
    pointwise one narrows. The strides make one output of 32 frames and 32 bands.

    Changed: stages are equally deep but for the first, which has one block. Of the two widest
    layers the one of 10 times the width is left out and the last has 8 times the width, not 40,
    since they hold most of the weights. ReLU instead of ReLU6: the range that quantisation-aware
    training learns does the clipping. In time the network is 'valid' or 'causal' instead of 'same':
    an output hears 99 frames at depth 1, 251 at depth 2.

    Args:
        input_shape: (frames, n_mels, 1).
        n_classes: Number of logits.
        width: Channels of the stem; the stages have 0.5 to 5, the last layer 8 times as many.
        depth: Blocks a stage.
        dropout: Share dropped before the last layer, in training only.
        padding: 'valid' or 'causal', in time.
        seed: Seeds the weights and the dropout.

    Returns:
        Model [batch, frames, n_mels, 1] -> logits [batch, n_classes], no softmax.
    """
    make = Convolutions(padding=padding, seed=seed)
    inputs = keras.Input(input_shape, name="logmel")
    x = make.full(inputs, "stem", width, KERNEL, (2, 2))
    for stage, (expansion, share, first_stride) in enumerate(STAGES):
        for block in range(depth if stage else 1):
            name, stride = f"stage{stage}_{block}", 1 if block else first_stride
            y = x
            if expansion > 1:
                y = make.full(y, f"{name}_widen", expansion * x.shape[3])
            y = make.depthwise(y, f"{name}_look", KERNEL, (stride, stride))
            y = make.full(y, f"{name}_narrow", channels(width, share), relu=False)
            if block:
                x = make.beside(x, name, KERNEL[0] - 1)
                y = keras.layers.Add(name=f"{name}_add")([y, x])
            x = y
    x = make.full(x, "last", channels(width, HEAD_SHARE))
    return keras.Model(inputs, make.head(x, n_classes, dropout), name="mobile_cnn")

"""BC-ResNet: broadcasted residual learning for keyword spotting."""

from __future__ import annotations

import tf_keras as keras

from audio_edge.models.convolutions import Convolutions, channels

# Of table 1: channels over width, stride in frequency, dilation in time, blocks over depth.
STAGES = ((1.0, 1, 1, 1), (1.5, 2, 2, 1), (2.0, 2, 4, 2), (2.5, 1, 8, 2))
STEM, STEM_SHARE, HEAD_SHARE = (5, 5), 2.0, 4.0
LIMIT = 6.0  # of each ReLU: sums of residuals reach 60 otherwise, where most values are near 1


def bc_resnet(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    width: int = 8,
    depth: int = 2,
    dropout: float = 0.0,
    padding: str = "valid",
    seed: int = 0,
) -> keras.Model:
    """BC-ResNet (Kim et al. 2021, arXiv 2106.04140, table 1): width 8 and depth 2 are BC-ResNet-1.

    A block convolves over frequency, brings all bands together, convolves that over time, and adds
    the result back to all bands: most of the work is done on one band.

    Changed: the first convolution of a stage, not its depthwise one, has the stride, and 3 bands
    where that is 2, since TensorFlow's depthwise kernels want equal strides in time and frequency.
    Changed for int8: ReLU up to 6 instead of swish, whose multiplication int8 pays for. The
    bands come together by a convolution over all of them, instead of their plain mean: int8 rounds
    a mean, and normalisation behind it magnified the little that it varies, so that a step of the
    mean became eight steps, and runtimes that round differently disagreed. Batch normalisation
    instead of sub-spectral normalisation, whose factors differ from band to band, so that no
    convolution can take them in; the bands share a bias, and tell each other apart by the edges of
    the kernels and by the last convolution, which has weights for each band. Batch normalisation
    after each convolution. Dropout before the last layer only. In time the network is 'valid' or
    'causal' instead of 'same': an output hears 117 frames at depth 2, so that clips of one second
    at hops of 10 ms need 'causal'.

    Args:
        input_shape: (frames, n_mels, 1).
        n_classes: Number of logits.
        width: Channels of the first stage; the stem has 2, the stages 1, 1.5, 2 and 2.5, the last
            layers 4 times as many.
        depth: Blocks of the first two stages; the other two have twice as many.
        dropout: Share dropped before the last layer, in training only.
        padding: 'valid' or 'causal', in time.
        seed: Seeds the weights and the dropout.

    Returns:
        Model [batch, frames, n_mels, 1] -> logits [batch, n_classes], no softmax.
    """
    make = Convolutions(padding=padding, seed=seed)
    inputs = keras.Input(input_shape, name="logmel")
    x = make.full(inputs, "stem", channels(width, STEM_SHARE), STEM, (1, 2), limit=LIMIT)
    for stage, (share, stride, dilation, blocks) in enumerate(STAGES):
        for block in range(blocks * depth):
            name, first = f"stage{stage}_{block}", block == 0
            filters = channels(width, share)
            bands = x
            if first:
                kernel = (1, 2 * stride - 1)
                bands = make.full(x, f"{name}_enter", filters, kernel, (1, stride), limit=LIMIT)
            bands = make.depthwise(bands, f"{name}_bands", (1, 3), relu=False)
            time = make.depthwise(bands, f"{name}_weigh", (1, 1), all_bands=True, relu=False)
            time = make.depthwise(time, f"{name}_time", (3, 1), dilation=dilation, limit=LIMIT)
            time = make.full(time, f"{name}_mix", filters, relu=False)
            kept = make.beside(bands, f"{name}_bands", 2 * dilation)
            y = keras.layers.Add(name=f"{name}_broadcast")([kept, time])
            if not first:
                kept = make.beside(x, name, 2 * dilation)
                y = keras.layers.Add(name=f"{name}_add")([y, kept])
            x = keras.layers.ReLU(LIMIT, name=f"{name}_relu")(y)
    x = make.depthwise(x, "band", STEM, all_bands=True, relu=False)
    x = make.full(x, "last", channels(width, HEAD_SHARE), limit=LIMIT)
    return keras.Model(inputs, make.head(x, n_classes, dropout), name="bc_resnet")

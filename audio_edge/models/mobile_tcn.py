"""Inverted residuals, first over time and frequency, then over time alone: for keywords."""

from __future__ import annotations

import tf_keras as keras

from audio_edge.models.convolutions import Convolutions, channels

STAGES = ((1 / 4, 1), (1 / 2, 2), (3 / 4, 2))  # channels over width, blocks
ENTERING = (((5, 5), (2, 2)), ((3, 3), (2, 2)), ((1, 3), (1, 2)))  # kernel and stride of each
AROUND, ALONG = (3, 3), (9, 1)
EXPANSION, HEAD_SHARE = 2, 2.0


def mobile_tcn(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    width: int = 48,
    depth: int = 3,
    dropout: float = 0.0,
    padding: str = "valid",
    seed: int = 0,
) -> keras.Model:
    """Inverted residuals (Sandler et al. 2018) over patches, then over time (Choi et al. 2019).

    Three stages look at patches of the features, at a half, a quarter and an eighth of the bands
    and at a half and then a quarter of the frames: a voice that is higher than another meets the
    same kernels.
    A depthwise convolution over all bands that are left then makes a vector of each frame, and
    blocks with long kernels run over those, as in a temporal convolutional network.

    Every convolution is followed by batch normalisation, the narrow ones of a block by no ReLU.

    Args:
        input_shape: (frames, n_mels, 1).
        n_classes: Number of logits.
        width: Channels over time; the stages before have a quarter, half and three quarters.
        depth: Blocks over time alone.
        dropout: Share dropped before the last layer, in training only.
        padding: 'valid' or 'causal', in time; an output hears 45 + 32 * depth frames, so
            that clips of one second at hops of 10 ms need 'causal' from depth 2 on.
        seed: Seeds the weights and the dropout.

    Returns:
        Model [batch, frames, n_mels, 1] -> logits [batch, n_classes], no softmax.
    """
    make = Convolutions(padding=padding, seed=seed)

    def residual(x: keras.KerasTensor, name: str, kernel: tuple[int, int]) -> keras.KerasTensor:
        y = make.full(x, f"{name}_widen", EXPANSION * x.shape[3])
        y = make.depthwise(y, f"{name}_look", kernel)
        y = make.full(y, f"{name}_narrow", x.shape[3], relu=False)
        return keras.layers.Add(name=f"{name}_add")([y, make.beside(x, name, kernel[0] - 1)])

    inputs = keras.Input(input_shape, name="logmel")
    x = inputs
    for stage, ((share, blocks), (kernel, stride)) in enumerate(zip(STAGES, ENTERING, strict=True)):
        x = make.full(x, f"stage{stage}", channels(width, share), kernel, stride)
        for block in range(blocks):
            x = residual(x, f"stage{stage}_{block}", AROUND)
    x = make.depthwise(x, "band", (1, 1), all_bands=True, relu=False)
    x = make.full(x, "enter", width, relu=False)
    for block in range(depth):
        x = residual(x, f"time{block}", ALONG)
    x = make.full(x, "last", channels(width, HEAD_SHARE))
    return keras.Model(inputs, make.head(x, n_classes, dropout), name="mobile_tcn")

"""TC-ResNet: temporal convolutions for keyword spotting."""

from __future__ import annotations

import tf_keras as keras

from audio_edge.models.convolutions import Convolutions, channels

STAGES = (1.5, 2.0, 3.0)  # channels over width
STEM, KERNEL = (3, 1), (9, 1)


def tc_resnet(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    width: int = 16,
    depth: int = 1,
    dropout: float = 0.0,
    padding: str = "valid",
    seed: int = 0,
) -> keras.Model:
    """TC-ResNet (Choi et al. 2019, arXiv 1904.03814, figure 2): temporal convolutions alone.

    The bands are channels from the start, so every convolution runs over time only. Width 16 and
    depth 1 are TC-ResNet8, depth 2 TC-ResNet14; width 24 is their "1.5".

    Changed: batch normalisation and ReLU after the stem too. In time the network is 'valid' or
    'causal' instead of 'same': an output hears 171 frames at depth 1, so that clips of one second
    at hops of 10 ms need 'causal'.

    Args:
        input_shape: (frames, n_mels, 1).
        n_classes: Number of logits.
        width: Channels of the stem; the stages have 1.5, 2 and 3 times as many.
        depth: Residual blocks a stage, the first of them strided.
        dropout: Share dropped before the last layer, in training only.
        padding: 'valid' or 'causal', in time.
        seed: Seeds the weights and the dropout.

    Returns:
        Model [batch, frames, n_mels, 1] -> logits [batch, n_classes], no softmax.
    """
    make = Convolutions(padding=padding, seed=seed)
    frames, bands, _ = input_shape
    inputs = keras.Input(input_shape, name="logmel")
    x = keras.layers.Reshape((frames, 1, bands), name="bands_as_channels")(inputs)
    x = make.full(x, "stem", width, STEM)
    for stage, share in enumerate(STAGES):
        for block in range(depth):
            name, stride = f"stage{stage}_{block}", 1 if block else 2
            filters, past = channels(width, share), KERNEL[0] - 1
            y = make.full(x, f"{name}_a", filters, KERNEL, (stride, 1))
            y = make.full(y, f"{name}_b", filters, KERNEL, relu=False)
            x = make.beside(x, name, past + stride * past)
            x = x if block else make.full(x, f"{name}_shortcut", filters, stride=(stride, 1))
            x = keras.layers.Add(name=f"{name}_add")([y, x])
            x = keras.layers.ReLU(name=f"{name}_relu")(x)
    return keras.Model(inputs, make.head(x, n_classes, dropout), name="tc_resnet")

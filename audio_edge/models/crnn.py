"""CRNN: strided convolutions, then a gated recurrence over time."""

from __future__ import annotations

import tf_keras as keras

from audio_edge.models.convolutions import Convolutions
from audio_edge.models.gated_scan import GatedScan

STEM, KERNEL, RECURRENT = (8, 4), (5, 3), (2, 1)


def crnn(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    width: int = 64,
    depth: int = 1,
    dropout: float = 0.0,
    padding: str = "valid",
    seed: int = 0,
) -> keras.Model:
    """Convolutions, then quasi-recurrent layers (Bradbury et al. 2017), as CRNNs have GRUs.

    The idea of Arik et al. (2017, arXiv 1703.05390): convolutions see the sound of a moment, the
    recurrence its order. A strided stem, a strided depthwise separable block, a depthwise
    convolution over all of the frequency axis; then the recurrent layers, one state every four
    frames; then the mean of the states over time.

    Instead of a GRU, which tfmot does not quantise and which converts to a loop, each layer is a
    quasi-recurrent one: gates and candidates are one convolution over two frames, and `GatedScan`
    does the recurrence without a loop, in int8 throughout. What it costs: a gate sees the frames
    and not the state. It runs forwards only, so the network can stream, the last states its memory.

    Args:
        input_shape: (frames, n_mels, 1).
        n_classes: Number of logits.
        width: Channels.
        depth: Recurrent layers.
        dropout: Share dropped before the last layer, in training only.
        padding: 'valid' or 'causal', in time.
        seed: Seeds the weights and the dropout.

    Returns:
        Model [batch, frames, n_mels, 1] -> logits [batch, n_classes], no softmax.
    """
    make = Convolutions(padding=padding, seed=seed)
    inputs = keras.Input(input_shape, name="logmel")
    x = make.full(inputs, "stem", width, STEM, (2, 2))
    x = make.depthwise(x, "block_depthwise", KERNEL, (2, 2))
    x = make.full(x, "block_pointwise", width)
    x = make.depthwise(x, "band", (1, 1), all_bands=True)
    x = make.full(x, "band_pointwise", width)
    for layer in range(depth):
        x = make.full(x, f"gates{layer}", 2 * width, RECURRENT, relu=False)
        x = GatedScan(name=f"scan{layer}")(x)
    return keras.Model(inputs, make.head(x, n_classes, dropout), name="crnn")

"""A keyword transformer whose attention is products and means, so that it runs in int8."""

from __future__ import annotations

import tf_keras as keras

from audio_edge.models.convolutions import Convolutions
from audio_edge.models.mean import Mean

PATCH, POSITION, EXPANSION, LIMIT = 2, (9, 1), 4, 6.0


def kwt(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    width: int = 64,
    depth: int = 12,
    dropout: float = 0.0,
    padding: str = "valid",
    seed: int = 0,
) -> keras.Model:
    """Keyword transformer (Berg et al. 2021, arXiv 2104.00769): width 64, depth 12 are as KWT-1.

    Patches of all bands are tokens; each block lets every token attend to the whole clip, then
    passes it through two dense layers. The network cannot stream, since the first block already
    hears all frames; `padding` changes the frames at the clip's beginning only, and either does.

    Changed for int8, where softmax and the product of two computed matrices leave the accelerated
    kernels. Attention has as many heads as channels (Hydra attention, Bolya et al. 2022): with
    ReLU as the kernel it is q times the mean over time of k v, all by element, and costs frames
    instead of frames squared. Queries and keys end at 6, or a product of three large values would
    take the range of int8 from all others. What it costs: no token picks out another one, each
    takes its share of what the clip as a whole holds. Batch normalisation in the branches instead
    of layer normalisation behind the sums, ReLU instead of GELU, the mean over tokens instead of a
    class token, patches of 2 frames instead of 1. Positions come from a depthwise convolution over
    9 tokens (Chu et al. 2021, arXiv 2102.10882), which also lets neighbours mix.

    Args:
        input_shape: (frames, n_mels, 1).
        n_classes: Number of logits.
        width: Channels of a token.
        depth: Blocks.
        dropout: Share dropped before the last layer, in training only.
        padding: 'valid' or 'causal', in time.
        seed: Seeds the weights and the dropout.

    Returns:
        Model [batch, frames, n_mels, 1] -> logits [batch, n_classes], no softmax.
    """
    make = Convolutions(padding=padding, seed=seed)
    inputs = keras.Input(input_shape, name="logmel")
    x = make.full(inputs, "patch", width, (PATCH, 1), (PATCH, 1), all_bands=True)
    place = make.depthwise(x, "position", POSITION, relu=False)
    x = make.beside(x, "position", POSITION[0] - 1)
    x = keras.layers.Add(name="position_add")([x, place])
    for block in range(depth):
        name = f"block{block}"
        query = make.full(x, f"{name}_query", width, limit=LIMIT)
        key = make.full(x, f"{name}_key", width, limit=LIMIT)
        value = make.full(x, f"{name}_value", width, relu=False)
        heard = keras.layers.Multiply(name=f"{name}_heard")([key, value])
        heard = Mean(1, name=f"{name}_mean")(heard)
        y = keras.layers.Multiply(name=f"{name}_attend")([query, heard])
        y = make.full(y, f"{name}_attended", width, relu=False)
        x = keras.layers.Add(name=f"{name}_add")([x, y])
        y = make.full(x, f"{name}_widen", EXPANSION * width)
        y = make.full(y, f"{name}_narrow", width, relu=False)
        x = keras.layers.Add(name=f"{name}_out")([x, y])
    return keras.Model(inputs, make.head(x, n_classes, dropout), name="kwt")

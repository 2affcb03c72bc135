"""Convolutions over time and a mean: for features that say much already, such as embeddings."""

from __future__ import annotations

import tf_keras as keras

from audio_edge.models.convolutions import Convolutions

KERNEL = (5, 1)


def conv_pool(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    width: int = 256,
    depth: int = 1,
    dropout: float = 0.0,
    padding: str = "valid",
    seed: int = 0,
) -> keras.Model:
    """Convolutions over time across all bands (Kim 2014, there for words) and their mean.

    What a frozen encoder is followed by: as little as tells its embeddings apart.

    Changed: batch normalisation before each ReLU, and the mean over time in place of the maximum,
    so that it streams.

    Args:
        input_shape: (frames, bands, 1).
        n_classes: Number of logits.
        width: Channels.
        depth: Convolutions of 5 frames.
        dropout: Share dropped before the last layer, in training only.
        padding: 'valid' or 'causal', in time; an output hears 1 + 4 * depth frames.
        seed: Seeds the weights and the dropout.

    Returns:
        Model [batch, frames, bands, 1] -> logits [batch, n_classes], no softmax.
    """
    make = Convolutions(padding=padding, seed=seed)
    x = inputs = keras.Input(input_shape, name="logmel")
    for layer in range(depth):
        x = make.full(x, f"over{layer}", width, KERNEL, all_bands=True)
    return keras.Model(inputs, make.head(x, n_classes, dropout), name="conv_pool")

"""YAMNet: MobileNet on log-mel patches, cut where a device wants it."""

from __future__ import annotations

import tf_keras as keras

from audio_edge.models.convolutions import Convolutions, channels

# Channels over width and stride of each separable layer.
LAYERS = (
    (2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), (16, 1), (16, 1), (16, 1), (16, 1), (16, 1),
    (32, 2), (32, 1),
)  # fmt: skip
KERNEL = (3, 3)


def yamnet(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    width: int = 32,
    depth: int = 6,
    dropout: float = 0.0,
    padding: str = "valid",
    seed: int = 0,
) -> keras.Model:
    """The first layers of YAMNet (Plakal and Ellis 2020), a MobileNet (Howard et al. 2017).

    Made to start from the weights of a published file: `model.weights`. It wants the features that
    they were trained on: 64 bands from 125 to 7500 Hz, `frame_length` 400, `hop_length` 160,
    `exponent` 1, `log_floor` 0.001. Width 32 and depth 13 are the whole of it, 3.2 million weights;
    depth 5 has 125,000, in channels of 256.

    Changed: the layers run over the whole clip, not over patches of 96 frames, and their mean and
    the greatest mean of a frame are taken at the end. In time they are 'valid' or 'causal' instead
    of 'same': an output hears 67 frames at depth 5.

    Args:
        input_shape: (frames, n_mels, 1).
        n_classes: Number of logits.
        width: Channels of the stem; the layers have 2 to 32 times as many.
        depth: Separable layers, 1 to 13.
        dropout: Share dropped before the last layer, in training only.
        padding: 'valid' or 'causal', in time.
        seed: Seeds the weights and the dropout.

    Returns:
        Model [batch, frames, n_mels, 1] -> logits [batch, n_classes], no softmax.

    Raises:
        ValueError: `depth` is beyond 13.
    """
    if depth > len(LAYERS):
        raise ValueError(f"yamnet has {len(LAYERS)} separable layers")
    make = Convolutions(padding=padding, seed=seed)
    inputs = keras.Input(input_shape, name="logmel")
    x = make.full(inputs, "stem", width, KERNEL, (2, 2))
    for layer, (share, stride) in enumerate(LAYERS[:depth]):
        x = make.depthwise(x, f"layer{layer}_look", KERNEL, (stride, stride))
        x = make.full(x, f"layer{layer}_mix", channels(width, share))
    return keras.Model(inputs, make.head(x, n_classes, dropout, peak=True), name="yamnet")

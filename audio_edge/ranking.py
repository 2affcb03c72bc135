"""What each channel of a classifier is worth, so that the least can go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge.channels import Map

Batches = Iterable[tuple[tf.Tensor, tf.Tensor]]


def scores(classifier: keras.Model, channels: Map, rank: str, batches: Batches) -> dict[int, float]:
    """A score for each channel that can go; only those of one space can be compared.

    Args:
        classifier: Trained.
        channels: Of it.
        rank: "taylor": the mean square, over batches, of what the loss changes by to first order if
            the channel is silent, from the gradients of its scales and shifts (Molchanov et al.
            2019, arXiv 1906.10771). "scale": the mean size of its scales (Liu et al. 2017, arXiv
            1708.06519). "l1": the mean size of its filters' weights (Li et al. 2016, arXiv
            1608.08710).
        batches: Of (features, targets as probabilities [batch, outputs]); read by "taylor" alone.
    """
    normalisations = [
        layer for layer in classifier.layers if type(layer) is keras.layers.BatchNormalization
    ]
    parts: list[tuple[np.ndarray, np.ndarray]]  # the numbers of channels, and their scores
    if rank == "taylor":
        places = {layer.name: channels.after[layer.name] for layer in normalisations}
        return _taylor(classifier, places, batches)
    if rank == "scale":
        parts = [(channels.after[layer.name], layer.gamma.numpy()) for layer in normalisations]
    else:
        parts = [
            (channels.after[layer.name], np.abs(layer.kernel.numpy()).mean(axis=(0, 1, 2)))
            for layer in classifier.layers
            if type(layer) is keras.layers.Conv2D
        ]
    found: dict[int, list[float]] = {}
    for numbers, values in parts:
        for number, value in zip(numbers.tolist(), np.abs(values).tolist(), strict=True):
            found.setdefault(number, []).append(value)
    return {number: float(np.mean(values)) for number, values in found.items()}


def branches(
    classifier: keras.Model, ends: Mapping[str, str], batches: Batches
) -> dict[str, float]:
    """What the loss changes by if a branch is silent, as `scores` by "taylor"; by its sum's name.

    Args:
        classifier: Trained.
        ends: Sum -> the normalisation that ends its branch, of `channels.branches`.
        batches: Of (features, targets).
    """
    places = {end: np.array([number]) for number, end in enumerate(ends.values())}
    total = _taylor(classifier, places, batches)
    return {name: total[number] for number, name in enumerate(ends)}


def _taylor(
    classifier: keras.Model, places: Mapping[str, np.ndarray], batches: Batches
) -> dict[int, float]:
    """Mean square of the change of the loss, for each number in `places` of normalisations."""
    layers = [classifier.get_layer(name) for name in places]
    weights = [(layer.gamma, layer.beta) for layer in layers]
    size = 2 + max((int(place.max()) for place in places.values()), default=0)
    total, count = np.zeros(size), 0
    for features, targets in batches:
        with tf.GradientTape() as tape:
            logits = classifier(features, training=False)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
        slopes = tape.gradient(loss, weights)
        change = np.zeros(size)
        for place, pair, slope in zip(places.values(), weights, slopes, strict=True):
            scale, shift = (w.numpy() * s.numpy() for w, s in zip(pair, slope, strict=True))
            place = np.broadcast_to(place, scale.shape)
            np.add.at(change, place, scale + shift)  # -1 is the last, which nobody reads
        total, count = total + np.square(change), count + 1
    numbers = {number for place in places.values() for number in place.tolist()}
    return {number: float(total[number] / max(1, count)) for number in numbers}

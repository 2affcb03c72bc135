"""Structured channel pruning: whole channels leave a classifier, which is rebuilt narrower.

A channel is more than a filter: what a sum, a product or a gate ties together goes together, and
with it the normalisation, the depthwise kernels and the inputs of the layers behind. Removing it is
the same as setting the scale and shift of all its normalisations to zero.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tf_keras as keras

from audio_edge.config import ChannelsConfig
from audio_edge.errors import UserError
from audio_edge.models.dropout import StatelessDropout
from audio_edge.models.gated_scan import GatedScan
from audio_edge.models.mean import Mean
from audio_edge.models.peak import Peak

_PASS = (
    keras.layers.BatchNormalization, keras.layers.ReLU, keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D, keras.layers.GlobalAveragePooling2D, keras.layers.DepthwiseConv2D,
    Mean, Peak, StatelessDropout,
)  # fmt: skip
_TIE = (keras.layers.Add, keras.layers.Multiply)
_FIXED = -1


@dataclass(frozen=True)
class Map:
    """Which channels of which layers are one.

    Attributes:
        before: Layer -> int [channels], the number of the channel at each place of its input.
        after: The same of its output. A number of -1 is a channel that cannot go.
    """

    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray]

    def spaces(self) -> list[np.ndarray]:
        """The numbers of the channels that are alike: made by the same layers, in their order."""
        owners: dict[int, tuple[str, ...]] = {}
        for name, numbers in self.after.items():
            for number in dict.fromkeys(numbers.tolist()):
                owners[number] = (*owners.get(number, ()), name)
        owners.pop(_FIXED, None)
        groups: dict[tuple[str, ...], list[int]] = {}
        for number, names in owners.items():
            groups.setdefault(names, []).append(number)
        return [np.array(group) for group in groups.values()]


def trace(classifier: keras.Model) -> Map:
    """Follow the channels through a classifier.

    Raises:
        UserError: A layer does something with channels that is not known here.
    """
    parent: list[int] = []

    def fresh(count: int) -> np.ndarray:
        numbers = np.arange(len(parent), len(parent) + count)
        parent.extend(numbers.tolist())
        return numbers

    def root(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    def tie(ones: np.ndarray, others: np.ndarray) -> None:
        for one, other in zip(ones.tolist(), others.tolist(), strict=True):
            first, second = sorted((root(one), root(other)))
            parent[second] = first

    before: dict[str, np.ndarray] = {}
    after: dict[str, np.ndarray] = {}
    fixed: list[int] = []
    for layer in classifier.layers:
        name = layer.name
        if isinstance(layer, keras.layers.InputLayer):
            after[name] = fresh(layer.output.shape[-1])
            fixed += after[name].tolist()
            continue
        given = [after[source] for source in _sources(layer)]
        before[name] = given[0]
        if type(layer) is keras.layers.Conv2D:
            after[name] = fresh(layer.filters)
            fixed += after[name].tolist() if name == "logits" else []
        elif isinstance(layer, _PASS):
            after[name] = given[0]
        elif isinstance(layer, _TIE):
            for other in given[1:]:
                tie(given[0], other)
            after[name] = given[0]
        elif isinstance(layer, keras.layers.Concatenate):
            before[name] = after[name] = np.concatenate(given)
        elif isinstance(layer, GatedScan):
            gates, candidates = np.split(given[0], 2)
            tie(gates, candidates)
            after[name] = gates
        elif isinstance(layer, keras.layers.Reshape | keras.layers.Flatten):
            fixed += given[0].tolist()
            after[name] = fresh(layer.output.shape[-1])
            fixed += after[name].tolist()
        else:
            kind = type(layer).__name__
            raise UserError(
                f"[channels] layer '{name}' ({kind}) cannot be narrowed; set channels.remove = 0"
            )
    staying = {root(number) for number in fixed}

    def settled(places: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        def numbers(values: np.ndarray) -> np.ndarray:
            roots = [root(number) for number in values.tolist()]
            return np.array([_FIXED if number in staying else number for number in roots])

        return {name: numbers(values) for name, values in places.items()}

    return Map(settled(before), settled(after))


def choose(channels: Map, scores: Mapping[int, float], config: ChannelsConfig) -> set[int]:
    """The numbers of the channels to remove: of each space those with the lowest scores.

    Raises:
        UserError: No layer has a name that `only` gives.
    """
    removed: set[int] = set()
    named = [name for name in channels.after if _named(name, config.only)]
    if not named:
        raise UserError(
            f"[channels] only: no layer is called {' or '.join(config.only)}; "
            f"some are {', '.join(list(channels.after)[1:4])}"
        )
    asked = np.concatenate([channels.after[name] for name in named])
    for space in channels.spaces():
        if not np.isin(space, asked).any():
            continue
        total, step = len(space), config.multiple
        kept = max(1, round(total * (1 - config.remove)))
        if total >= step:
            kept = min(total, max(step, round(kept / step) * step))
        ranked = sorted(space.tolist(), key=lambda number: (scores[number], number))
        removed.update(ranked[: total - kept])
    return removed


def narrowed(
    classifier: keras.Model, channels: Map, removed: set[int], dropped: Collection[str] = ()
) -> keras.Model:
    """The classifier without some channels and branches, its weights those that are left.

    Args:
        classifier: Stays as it is.
        channels: Of it.
        removed: Numbers of channels.
        dropped: Sums of which only the shortcut is left.
    """

    def kept(numbers: np.ndarray) -> np.ndarray:
        return np.flatnonzero(~np.isin(numbers, list(removed)))

    convolutions = [layer.name for layer in classifier.layers if type(layer) is keras.layers.Conv2D]
    filters = {name: len(kept(channels.after[name])) for name in convolutions}
    made = rebuilt(classifier, filters, dropped)
    left_over = {layer.name for layer in made.layers}
    for layer in (layer for layer in classifier.layers if layer.name in left_over):
        weights = layer.get_weights()
        if not weights:
            continue
        left = kept(channels.before[layer.name])
        if type(layer) is keras.layers.Conv2D:
            out = kept(channels.after[layer.name])
            weights = [weights[0][:, :, left][..., out], *(bias[out] for bias in weights[1:])]
        elif isinstance(layer, keras.layers.DepthwiseConv2D):
            weights = [weights[0][:, :, left], *(bias[left] for bias in weights[1:])]
        elif isinstance(layer, keras.layers.BatchNormalization):
            weights = [weight[left] for weight in weights]
        made.get_layer(layer.name).set_weights(weights)
    return made


def rebuilt(
    classifier: keras.Model, filters: Mapping[str, int], dropped: Collection[str] = ()
) -> keras.Model:
    """A classifier of the same layers with fresh weights.

    Args:
        classifier: Stays as it is.
        filters: Convolution -> its number of filters, where it is another.
        dropped: Sums of which only the shortcut is left.
    """
    made: dict[str, keras.KerasTensor] = {}
    for layer in classifier.layers:
        settings = layer.get_config()
        if isinstance(layer, keras.layers.InputLayer):
            made[layer.name] = inputs = keras.Input(layer.output.shape[1:], name=layer.name)
        elif layer.name in dropped:
            made[layer.name] = made[_ends(classifier, layer)[0]]
        else:
            if layer.name in filters:
                settings["filters"] = filters[layer.name]
            given = [made[name] for name in _sources(layer)]
            new = layer.__class__.from_config(settings)
            made[layer.name] = new(given if len(given) > 1 else given[0])
    return keras.Model(inputs, made[classifier.layers[-1].name], name=classifier.name)


def branches(classifier: keras.Model) -> dict[str, str]:
    """Sum -> the last normalisation of its branch, for those that have a shortcut beside it."""
    sums = (layer for layer in classifier.layers if isinstance(layer, keras.layers.Add))
    found = {layer.name: _ends(classifier, layer) for layer in sums}
    return {name: ends[1] for name, ends in found.items() if ends[1]}


def _named(name: str, patterns: Collection[str]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _sources(layer: keras.layers.Layer) -> list[str]:
    return [tensor._keras_history.layer.name for tensor in tf.nest.flatten(layer.input)]


def _ends(classifier: keras.Model, layer: keras.layers.Layer) -> tuple[str, str]:
    """The shortcut into a sum, and the normalisation that ends the branch; "" where there is none.

    The shortcut begins where the branch does: it is among what the branch is made from.
    """
    names = _sources(layer)
    for shortcut, branch in (names, names[::-1]):
        begin = classifier.get_layer(shortcut)
        if isinstance(begin, keras.layers.Cropping2D):
            begin = classifier.get_layer(_sources(begin)[0])
        if begin.name in _upstream(classifier, branch):
            end = classifier.get_layer(branch)
            if isinstance(end, keras.layers.ReLU):
                end = classifier.get_layer(_sources(end)[0])
            if isinstance(end, keras.layers.BatchNormalization):
                return shortcut, end.name
    return names[0], ""


def _upstream(classifier: keras.Model, name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        layer = classifier.get_layer(waiting.pop())
        if not isinstance(layer, keras.layers.InputLayer):
            new = set(_sources(layer)) - found
            found |= new
            waiting += new
    return found

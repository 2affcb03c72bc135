"""Walking through a clip's model, layer by layer, to make the model of a stream.

For 'valid' convolutions the two are the same function: after every packet the stream gives what the
clip's model gives for the clip that ends there. Where the clip's model hears the clip's own edge,
the zeros before a 'causal' convolution or the first level of PCEN, a stream has the true past
instead: it gives what the clip's model would give of the whole recording so far, if it took its
mean over the last clip of that. It says so: `exact` is False.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tf_keras as keras

from audio_edge.errors import UserError
from audio_edge.streaming.rules import Flow, Plan, plan, unwrapped

MOST_STREAMS = 1024
States = dict[str, tf.Tensor]


@dataclass(frozen=True)
class _Step:
    """A layer of the walk; tensors are known by the ids of the clip model's."""

    name: str
    plan: Plan
    inputs: tuple[int, ...]
    sides: tuple[tuple[int, int], ...]  # of the inputs
    output: int


@dataclass(frozen=True)
class Streaming:
    """What `to_streaming` gives.

    Attributes:
        packet_samples: Samples that a step takes: the hop times the strides of the classifier.
        clip_samples: Samples that its answer is about: those of the clip model.
        streams: How many a step takes at once.
        shapes: Name of a state, that of its layer -> its shape, [streams, ...].
        reach: Samples back from the end of a packet that its answer may depend on.
        exact: Every answer is that of the clip's model; else it hears further back than a clip.
        model: The clip's model, which shares its weights.
    """

    packet_samples: int
    clip_samples: int
    streams: int
    shapes: dict[str, tuple[int, ...]]
    reach: int
    exact: bool
    model: keras.Model
    _steps: tuple[_Step, ...]
    _input: int
    _output: int

    def zeros(self) -> States:
        """States that have heard nothing at all, not even silence."""
        return {name: tf.zeros(shape) for name, shape in self.shapes.items()}

    def step(self, packet: tf.Tensor, states: States) -> tuple[tf.Tensor, States]:
        """Take the next packet.

        Args:
            packet: float32 [streams, packet_samples] in [-1, 1].
            states: Of the step before, or `zeros`.

        Returns:
            probs [streams, classes] of the clips that end with the packet, and the next states.
        """
        values, after = {self._input: packet}, dict(states)
        for step in self._steps:
            inputs = [values[key] for key in step.inputs]
            if step.name in states:
                newest, kept = inputs[0], self.shapes[step.name][1]
                inputs[0] = tf.concat([states[step.name], newest], axis=1)
                # an input that is an output too could bear only one of its two names
                short = newest.shape[1] < kept or newest is packet
                after[step.name] = _last(inputs[0] if short else newest, kept)
            elif step.plan.past is not None and step.plan.past < 0:
                inputs[0] = inputs[0][:, -step.plan.past :]
            if not any(step.plan.sides):
                inputs = [_padded(x, sides) for x, sides in zip(inputs, step.sides, strict=True)]
            if step.plan.carried:
                level = _level(step.name)
                values[step.output], after[level] = step.plan.run(*inputs, states[level])
            else:
                values[step.output] = step.plan.run(*inputs)
        return values[self._output], after


def to_streaming(model: keras.Model, *, streams: int = 1) -> Streaming:
    """The model of a stream that a clip's model makes; the weights are shared.

    Args:
        model: Front end and classifier, [batch, clip_samples] -> probs [batch, classes], as
            `export.compose` gives it, trained, quantisation-aware or not.
        streams: How many a step takes at once, in [1, 1024]; they do not hear each other.

    Raises:
        UserError: A layer cannot stream; the message names it.
    """
    if not 1 <= streams <= MOST_STREAMS:
        raise UserError(f"--streams must be in [1, {MOST_STREAMS}]. Received: {streams}")
    clip_samples = int(model.input_shape[1])
    flows: dict[int, Flow] = {id(model.input): Flow(clip_samples, 1)}
    names: dict[int, int] = {}  # of an inner model's input or output -> the same outside
    steps: list[_Step] = []
    for layer, inputs, output in _nodes(model, names):
        keys = tuple(names.get(id(tensor), id(tensor)) for tensor in inputs)
        given = [flows[key] for key in keys]
        made = plan(layer, given, output)
        sides = tuple(flow.sides for flow in given)
        steps.append(_Step(unwrapped(layer).name, made, keys, sides, id(output)))
        shape = given[0].shape if any(made.sides) else tuple(output.shape[2:])
        flows[id(output)] = Flow(int(output.shape[1]), made.stride, shape, made.sides)
    result = names.get(id(model.output), id(model.output))
    if flows[result].stride is not None:
        raise UserError(
            f"model '{model.name}' gives no answer for a clip as a whole, but one a frame; "
            "end it with a mean over time"
        )
    strides = [flow.stride for flow in flows.values() if flow.stride]
    packet_samples = math.lcm(*strides)
    kept: dict[str, tuple[int, ...]] = {}
    reach = {id(model.input): packet_samples}
    for step in steps:
        flow = flows[step.inputs[0]]
        past = step.plan.past
        if past is None and flow.stride:
            past = flow.frames - packet_samples // flow.stride
        reach[step.output] = max(reach[key] for key in step.inputs)
        if past and past > 0:
            kept[step.name] = (streams, past, *flow.shape)
            reach[step.output] += past * (flow.stride or 0)
        if step.plan.carried:
            kept[_level(step.name)] = (streams, *step.plan.carried)
    return Streaming(
        packet_samples, clip_samples, streams, kept, reach[result],
        all(step.plan.exact for step in steps), model, tuple(steps), id(model.input), result,
    )  # fmt: skip


def _nodes(
    model: keras.Model, names: dict[int, int]
) -> Iterator[tuple[keras.layers.Layer, list[keras.KerasTensor], keras.KerasTensor]]:
    """(layer, inputs, output) of a functional model in order, an inner model taken apart."""
    known = {id(tensor) for tensor in model.inputs}
    for layer in model.layers:
        calls = _calls(layer, known)
        calls = _calls(layer, known | {id(call.outputs) for call in calls})
        if len(calls) > 1:
            raise UserError(
                f"layer '{layer.name}' ({type(layer).__name__}) is used twice; "
                "make a layer of its own for each place"
            )
        for call in calls:
            known.add(id(call.outputs))
            if isinstance(layer, keras.Model):
                outer = id(call.keras_inputs[0])
                names[id(layer.input)] = names.get(outer, outer)
                yield from _nodes(layer, names)
                inner = id(layer.output)
                names[id(call.outputs)] = names.get(inner, inner)
            else:
                yield layer, call.keras_inputs, call.outputs


def _calls(layer: keras.layers.Layer, known: set[int]) -> list[Any]:
    """Where a layer is called on tensors that are known."""
    inner = [node for node in layer.inbound_nodes if node.keras_inputs]
    return [node for node in inner if known.issuperset(map(id, node.keras_inputs))]


def _last(x: tf.Tensor, count: int) -> tf.Tensor:
    return x if x.shape[1] == count else x[:, x.shape[1] - count :]


def _padded(x: tf.Tensor, sides: tuple[int, int]) -> tf.Tensor:
    return tf.pad(x, [[0, 0], [0, 0], sides, [0, 0]]) if any(sides) else x


def _level(layer: str) -> str:
    return f"{layer}_level"

"""How each kind of layer goes on from packet to packet: one small rule a kind.

A layer of a clip's model that sees a window of frames gives, for the clip that ends a packet later,
the same frames as before but for the newest. So a step computes only those, from the newest frames
of its input and as many past ones as the window reaches back: these are its state. Where frames
are left over at a clip's end, because the stride leaves them out, they wait in the state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import tensorflow as tf
import tf_keras as keras

from audio_edge.errors import UserError
from audio_edge.frontend import Frontend
from audio_edge.frontend.base import Analysis
from audio_edge.models.dropout import StatelessDropout
from audio_edge.models.gated_scan import GatedScan
from audio_edge.models.mean import Mean
from audio_edge.models.peak import Peak

_layers = keras.layers


@dataclass(frozen=True)
class Flow:
    """A tensor of the clip's model, as it comes in a stream.

    Attributes:
        frames: In a clip; samples, of the waveform.
        stride: Samples from one frame to the next, of which a step computes the newest; None where
            it computes all that a clip has, or a value for the clip as a whole.
        shape: Of a frame, without `sides`.
        sides: Zeros still to be put below and above the bands. They are put behind the past, where
            XNNPACK makes them part of the convolution.
    """

    frames: int
    stride: int | None
    shape: tuple[int, ...] = ()
    sides: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Plan:
    """One layer in a stream.

    Attributes:
        run: From the inputs, the first of them behind its past, to the output. With `carried` it
            takes and gives that too.
        stride: Of the output, as in `Flow`.
        past: Frames of the input kept from step to step; fewer than 0 are skipped in each packet,
            None keeps what makes the clip whole.
        sides: As in `Flow`.
        carried: Shape of a running value, which no past frames could replace.
        exact: The clip's model hears no edge here that a stream has not.
    """

    run: Callable[..., Any]
    stride: int | None
    past: int | None = 0
    sides: tuple[int, int] = (0, 0)
    carried: tuple[int, ...] = ()
    exact: bool = True


def plan(layer: keras.layers.Layer, inputs: Sequence[Flow], output: keras.KerasTensor) -> Plan:
    """How a layer streams.

    Args:
        layer: Of the clip's model, wrapped for quantisation-aware training or not.
        inputs: How its inputs come.
        output: Its output for a clip.

    Raises:
        UserError: It cannot; the message names the layer.
    """
    inner = unwrapped(layer)
    strides = {flow.stride for flow in inputs}
    if strides == {None}:
        return Plan(_called(layer), None)
    if None in strides or len(strides) > 1:
        refuse(inner, "joins single frames with what it has made of the clip as a whole")
    if isinstance(inner, Frontend):
        return _front_end(inner, inputs[0])
    for kinds, rule in RULES:
        if type(inner) in kinds:
            return rule(layer, inner, inputs[0], output)
    if type(inner).__name__ == "QuantizeLayer":  # tfmot's, behind the features
        return _each_frame(layer, inner, inputs[0], output)
    refuse(inner, "is of a kind that needs the clip as a whole, or that is not known")


def unwrapped(layer: keras.layers.Layer) -> keras.layers.Layer:
    """The layer inside a wrapper of quantisation-aware training."""
    return layer.layer if type(layer).__name__.startswith("QuantizeWrapper") else layer


def refuse(layer: keras.layers.Layer, reason: str, remedy: str = "") -> NoReturn:
    """Raise the error that names a layer which cannot stream."""
    remedy = remedy or "convert it without --streaming, or use a model that looks back only"
    raise UserError(f"layer '{layer.name}' ({type(layer).__name__}) {reason}; {remedy}")


def _front_end(layer: Frontend, flow: Flow) -> Plan:
    """Frames of samples; of its features only PCEN carries more from one frame to the next."""
    c = layer.config
    if "mfcc" in c.features and c.deltas:
        refuse(
            layer, "takes differences that look four frames ahead",
            "set frontend.deltas = 0 and train again",
        )  # fmt: skip
    past = _past(flow.frames, c.frame_length, c.hop_length)
    if "pcen" not in c.features:
        return Plan(layer, c.hop_length, past)

    def run(waveform: tf.Tensor, level: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        analysis = Analysis(layer.analyzer, waveform, level=level)
        return layer.finish(layer.extract(analysis)), analysis.level

    # the clip's model begins with the level of the clip's first frame
    return Plan(run, c.hop_length, past, carried=(c.n_mels,), exact=False)


def _window(layer: Any, inner: Any, flow: Flow, output: keras.KerasTensor) -> Plan:
    """Convolutions and pooling: a window of frames behind each output."""
    pooling = isinstance(inner, _layers.MaxPooling2D | _layers.AveragePooling2D)
    size = inner.pool_size[0] if pooling else inner.kernel_size[0]
    size = 1 + (size - 1) * (1 if pooling else inner.dilation_rate[0])
    stride = inner.strides[0]
    if inner.padding == "same" and (size > 1 or stride > 1):
        refuse(inner, "pads a clip on both sides, and so looks ahead", "use padding 'valid'")
    assert flow.stride is not None
    return Plan(_called(layer), flow.stride * stride, _past(flow.frames, size, stride))


def _pad(_: Any, inner: Any, flow: Flow, output: keras.KerasTensor) -> Plan:
    """In time a stream has its past where a clip has zeros; in frequency it is put off."""
    (before, after), sides = inner.padding
    if after:
        refuse(inner, "pads the end of a clip")
    low, high = (own + put_off for own, put_off in zip(sides, flow.sides, strict=True))
    return Plan(lambda x: x, flow.stride, sides=(low, high), exact=not before)


def _crop(_: Any, inner: Any, flow: Flow, output: keras.KerasTensor) -> Plan:
    """Cut off at the beginning: nothing to do. At the end: a delay."""
    (_, after), (low, high) = inner.cropping
    run = lambda x: x[:, : x.shape[1] - after, low : x.shape[2] - high]  # noqa: E731
    return Plan(run, flow.stride, past=after)


def _reshape(layer: Any, inner: Any, flow: Flow, output: keras.KerasTensor) -> Plan:
    if output.shape[1] != flow.frames:
        refuse(inner, "mixes frames with each other")
    rest = [int(size) for size in output.shape[2:]]
    return Plan(lambda x: tf.reshape(x, [-1, x.shape[1], *rest]), flow.stride)


def _mean(layer: Any, inner: Any, flow: Flow, output: keras.KerasTensor) -> Plan:
    if inner.axis == 2:
        return _each_frame(layer, inner, flow, output)
    return _whole(layer, inner, flow, output)


def _whole(layer: Any, inner: Any, flow: Flow, output: keras.KerasTensor) -> Plan:
    """Over all frames of a clip: it keeps them, and each step computes it anew."""
    return Plan(_called(layer), None, past=None)


def _each_frame(layer: Any, inner: Any, flow: Flow, output: keras.KerasTensor) -> Plan:
    return Plan(_called(layer), flow.stride)


def _past(frames: int, size: int, stride: int) -> int:
    """Frames to keep: those that the next window still needs, and those left over at the end."""
    return size - stride + (frames - size) % stride


def _called(layer: keras.layers.Layer) -> Callable[..., tf.Tensor]:
    return lambda *inputs: layer(inputs[0] if len(inputs) == 1 else list(inputs))


RULES: tuple[tuple[tuple[type, ...], Callable[..., Plan]], ...] = (
    ((_layers.Conv2D, _layers.DepthwiseConv2D), _window),
    ((_layers.MaxPooling2D, _layers.AveragePooling2D), _window),
    ((_layers.ZeroPadding2D,), _pad),
    ((_layers.Cropping2D,), _crop),
    ((_layers.Reshape,), _reshape),
    ((Mean,), _mean),
    ((_layers.GlobalAveragePooling2D, _layers.GlobalMaxPooling2D, GatedScan, Peak), _whole),
    ((_layers.BatchNormalization, _layers.ReLU, _layers.Activation), _each_frame),
    ((_layers.Add, _layers.Multiply, _layers.Dropout, StatelessDropout), _each_frame),
)

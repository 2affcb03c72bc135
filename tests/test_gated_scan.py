"""The recurrence without a loop: equal to the loop, in the ranges that int8 has."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from audio_edge.models.gated_scan import STATE, UNIT, GatedScan


def looped(inputs):
    """The formula in float64, one frame after the other."""
    gate, candidate = np.split(np.float64(inputs), 2, axis=3)
    keep, fresh = 1 / (1 + np.exp(-gate)), np.tanh(candidate)
    states, state = [], 0.0
    for frame in range(inputs.shape[1]):
        state = keep[:, frame] * state + (1 - keep[:, frame]) * fresh[:, frame]
        states.append(state)
    return np.stack(states, axis=1)


@pytest.fixture
def inputs(rng):
    return rng.normal(scale=3, size=(2, 37, 1, 10)).astype(np.float32)


@pytest.mark.parametrize("frames", [1, 2, 3, 8, 9, 37])
def test_scan_equals_the_loop(frames, inputs):
    part = inputs[:, :frames]
    np.testing.assert_allclose(GatedScan()(part), looped(part), atol=1e-6)  # float32 rounding


def test_open_gate_remembers_the_first_frame(inputs):
    inputs[..., :5] = 30.0  # kept for good, and nothing is taken in
    inputs[:, 0, :, :5] = -30.0
    expected = np.broadcast_to(np.tanh(inputs[:, :1, :, 5:]), (2, 37, 1, 5))
    np.testing.assert_allclose(GatedScan()(inputs), expected, atol=1e-6)


def test_rounded_scan_lies_on_the_steps_of_int8_and_near_the_exact_one(inputs):
    rounded = GatedScan(rounded=True)(inputs).numpy()
    steps = rounded * 128
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
    # 6 doublings, each rounds a product and a sum to half a step of 1/128 and a gate to 1/512
    assert np.abs(rounded - looped(inputs)).max() < 6 * (1 / 128 + 1 / 512)


def test_rounded_scan_can_be_trained(inputs):
    with tf.GradientTape() as tape:
        x = tf.constant(inputs)
        tape.watch(x)
        loss = tf.reduce_sum(GatedScan(rounded=True)(x))
    assert (tape.gradient(loss, x).numpy() != 0).mean() > 0.5


def test_ranges_are_those_of_int8_sigmoid_and_tanh():
    for (low, high), step in ((UNIT, 1 / 256), (STATE, 1 / 128)):
        assert (high - low) / 255 == step
        assert round(low / step) == low / step  # zero is a step


def test_scan_survives_its_config(inputs):
    layer = GatedScan(rounded=True, name="g")
    again = GatedScan.from_config(layer.get_config())
    np.testing.assert_array_equal(again(inputs), layer(inputs))
    assert again.name == "g"

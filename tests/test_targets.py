"""Targets: what they have was asked of them, and no file leaves that one of them would refuse."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from audio_edge import Interpreter, export, op_versions, targets
from audio_edge.errors import UserError
from tests import models_for_tests as made
from tflite import op_versions as command

ALL = tuple(targets.TARGETS)
AT_HAND = [target for target in ALL if targets.place(target)]
ELSEWHERE = {target: "AUDIO_EDGE_" + target.replace("-", "_").replace(".", "_").upper()
             for target in ALL}  # fmt: skip


def dense(per_channel: bool) -> bytes:
    """A dense layer with int8 weights, as TensorFlow 2.17 writes it."""
    weights = tf.constant(np.random.default_rng(0).normal(size=(1600, 64)).astype(np.float32))
    function = tf.function(
        lambda x: tf.matmul(x, weights), input_signature=[tf.TensorSpec([1, 1600], tf.float32)]
    )
    concrete = [function.get_concrete_function()]
    converter = tf.lite.TFLiteConverter.from_concrete_functions(concrete, tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter._experimental_disable_per_channel_quantization_for_dense_layers = not per_channel
    return converter.convert()


@pytest.fixture(scope="module")
def per_channel() -> bytes:
    return dense(True)


@pytest.mark.parametrize("target", ALL)
def test_table_of_a_target_is_what_the_target_itself_says(target, other_pythons):
    if targets.place(target) is None:
        pytest.skip(f"{target} is not at hand")
    found, known = op_versions.asked(target), targets.known_ops()[target]
    assert len(found) > 140
    if target == "ai-edge-litert":  # the table is of the oldest that is supported
        assert {op: version for op, version in known.items() if found.get(op, 0) < version} == {}
    else:
        assert found == known


def test_op_that_a_target_has_not_is_found_with_its_version(per_channel):
    missing = targets.lacking(per_channel, ALL)
    assert missing == [(name, "FULLY_CONNECTED", 12) for name in ALL[:2]]
    if "tflite-runtime-2.14" in AT_HAND:  # the table is right
        [answer] = targets.ask("tflite-runtime-2.14", [per_channel])
        assert "FULLY_CONNECTED" in answer


def test_conversion_changes_where_that_makes_the_file_load(per_channel):
    ways = {True: per_channel, False: dense(False)}
    assert targets.fitting(ways.get, ALL) == ways[False]
    assert targets.lacking(ways[False], ALL) == []
    assert targets.fitting(ways.get, ("ai-edge-litert",)) == ways[True]


def test_refusal_names_op_version_and_remedy(per_channel):
    with pytest.raises(UserError) as refused:
        targets.check_ops(per_channel, ALL, "m.tflite")
    assert str(refused.value) == (
        "m.tflite: not written, tflite-runtime-2.14 has FULLY_CONNECTED up to version 10, and the "
        "file needs 12; quantise its dense layers with one scale each, "
        "or give --runtime ai-edge-litert"
    )
    targets.check_ops(per_channel, targets.claimed("ai-edge-litert"), "m.tflite")


def test_unknown_runtime_lists_those_there_are():
    assert targets.claimed("any") == ALL
    with pytest.raises(UserError, match=r"--runtime must be one of tflite-runtime-2\.14, .*any"):
        targets.claimed("tflite-runtime-3")


def test_runtime_of_another_python_hears_the_same(carded_path, tmp_path, monkeypatch, rng):
    """This Python stands for the other one."""
    monkeypatch.setenv(ELSEWHERE["ai-edge-litert"], sys.executable)
    pytest.importorskip("ai_edge_litert")
    clips = rng.uniform(-1, 1, (3, made.CLIP_SAMPLES)).astype(np.float32)
    [heard] = targets.hear([carded_path], "ai-edge-litert", clips)
    ours = Interpreter(carded_path, runtime="ai_edge_litert")(clips)
    np.testing.assert_array_equal(heard, ours)
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(made.with_custom_op(made.loudness_model(), "Unheard"))
    with pytest.raises(UserError, match=r"broken\.tflite: ai-edge-litert cannot run it .*Unheard"):
        targets.hear([broken], "ai-edge-litert", clips)


@pytest.mark.parametrize(
    ("kind", "clips", "refused"),
    [("float", 1, True), ("float16", 1, True), ("int8", 1, False), ("dynamic", 1, False),
     ("int8", 9, True), ("dynamic", 9, True)],
)  # fmt: skip
def test_file_that_a_runtime_hears_otherwise_is_not_written(
    carded_path, monkeypatch, kind, clips, refused
):
    """In float on any clip; in int8, where roundings add up, on most of the 17 clips of noise."""
    pytest.importorskip("ai_edge_litert")
    hear = targets.hear

    def otherwise(paths, target, waveforms):
        [probs] = hear(paths, target, waveforms)
        probs[:clips] += 0.06
        return [probs]

    meant = targets.claimed("ai-edge-litert")
    export._check(carded_path, carded_path, [], kind, meant)
    monkeypatch.setattr(targets, "hear", otherwise)
    if refused:
        with pytest.raises(UserError, match="not written, ai-edge-litert differs .* by 0.06"):
            export._check(carded_path, carded_path, [], kind, meant)
    else:
        export._check(carded_path, carded_path, [], kind, meant)


@pytest.mark.parametrize("python", ["/nowhere/python", sys.executable])
def test_python_without_the_runtime_is_one_sentence(monkeypatch, python):
    monkeypatch.setenv(ELSEWHERE["tensorflow-lite-2.16.1"], python)
    monkeypatch.setitem(targets.RUNTIMES, "tensorflow", "no_such_runtime")
    with pytest.raises(UserError, match=f"^{python}: .*does not answer"):
        targets.ask("tensorflow-lite-2.16.1", [])


def test_command_shows_what_differs_from_the_table_and_names_what_is_not_at_hand(
    monkeypatch, capsys
):
    for name in ELSEWHERE.values():
        monkeypatch.delenv(name, raising=False)
    assert command.main(["tensorflow-lite-2.16.1"]) == 2
    assert "tensorflow-lite-2.16.1: not at hand" in capsys.readouterr().err
    found = {**targets.known_ops()["ai-edge-litert"], "LOG": 3}
    monkeypatch.setattr(op_versions, "asked", lambda target: found)
    monkeypatch.setenv(ELSEWHERE["ai-edge-litert"], sys.executable)
    assert command.main(["ai-edge-litert"]) == 0
    assert capsys.readouterr().out == f"ai-edge-litert: {len(found)} ops, LOG 2 -> 3\n"

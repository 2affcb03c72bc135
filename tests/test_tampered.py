"""A file that was changed, cut off or meant for something else never runs: one sentence, exit 2."""

import shutil

import numpy as np
import pytest

from audio_edge import Card, Interpreter, listen
from audio_edge.card import attach, split
from audio_edge.errors import UserError
from audio_edge.tflite_metadata import with_metadata
from tests import models_for_tests as made
from tflite import compare, inspect

FLIPS = 1000


@pytest.fixture(scope="module")
def whole() -> bytes:
    """A file as export writes it: front end, classifier, metadata, card."""
    card = Card(("a", "b", "c"), made.SAMPLE_RATE, made.CLIP_SAMPLES, name="tiny")
    return attach(with_metadata(made.keyword_model(), card), card)


@pytest.fixture
def opened(tmp_path, whole):
    """Each way to open a file, and the file that it opens."""
    path, good = tmp_path / "x.tflite", tmp_path / "good.tflite"
    good.write_bytes(whole)
    commands = [
        lambda: listen.main([str(path), str(tmp_path / "none.wav")]),
        lambda: inspect.main([str(path)]),
        lambda: compare.main([str(path), str(good)]),
        lambda: compare.main([str(good), str(path)]),
    ]
    return path, commands


def test_none_of_1000_changed_bytes_runs_silently(whole, tmp_path, rng):
    """Half of them anywhere, half in what is no weight: metadata, labels, card, directory."""
    start = whole.index(b"PK\x03\x04")
    half = FLIPS // 2
    places = [*rng.integers(0, len(whole), half), *rng.integers(start, len(whole), half)]
    path = tmp_path / "x.tflite"
    for number, place in enumerate(places):
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        with pytest.raises(UserError) as refused:
            split(bytes(damaged), source="x.tflite")
        said = str(refused.value)
        assert said.startswith("x.tflite: ") and "\n" not in said, place
        if number % 100 == 0:  # the check stands in front of every interpreter
            path.write_bytes(damaged)
            with pytest.raises(UserError):
                Interpreter(path)
    assert split(whole, source="x.tflite")[1] is not None


@pytest.mark.parametrize("kind", ["flipped", "no card left", "cut off", "empty", "no model"])
def test_each_command_refuses_with_one_sentence(kind, whole, opened, capsys):
    start = whole.index(b"PK\x03\x04")
    flipped = bytearray(whole)
    flipped[start // 2] ^= 16
    content = {
        "flipped": bytes(flipped), "no card left": whole[:start], "cut off": whole[: start // 2],
        "empty": b"", "no model": b"a letter, and no model at all",
    }[kind]  # fmt: skip
    path, commands = opened
    path.write_bytes(content)
    for run in commands:
        assert run() == 2
        out, err = capsys.readouterr()
        assert not out
        assert err.startswith(f"error: {path}: ") and err.count("\n") == 1
    with pytest.raises(UserError, match="x.tflite: "):
        Interpreter(path)


@pytest.mark.parametrize("model", ["image", "two answers a clip"])
def test_model_of_another_kind_is_one_sentence(model, opened, capsys):
    import tensorflow as tf

    path, commands = opened
    if model == "image":
        content = made.convert(lambda x: tf.reduce_mean(x, [1, 2]), 1, 8, 8, 3)
    else:
        content = made.convert(lambda x: tf.reshape(x, (1, 2, 800)), 1, made.CLIP_SAMPLES)
    path.write_bytes(content)
    for run in (commands[0], commands[2], commands[3]):  # anything may be inspected
        assert run() == 2
        out, err = capsys.readouterr()
        assert not out
        assert err.startswith(f"error: {path}: ") and err.count("\n") == 1


def test_file_of_another_task_is_one_sentence(whole, tmp_path, capsys):
    """Same input, other words; the card is sound, so only the labels tell."""
    good, other = tmp_path / "good.tflite", tmp_path / "other.tflite"
    good.write_bytes(whole)
    other.write_bytes(made.carded(made.keyword_model(), labels=("rain", "dog", "engine")))
    assert compare.main([str(good), str(other)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "do not know the same labels: a, b, c / rain, dog, engine" in said


def test_card_for_another_model_is_one_sentence(tmp_path, capsys):
    """Hashes agree, labels do not fit: a sound card put on the wrong model."""
    path = tmp_path / "x.tflite"
    path.write_bytes(made.carded(made.loudness_model(), labels=("a", "b", "c")))
    assert listen.main([str(path), str(tmp_path / "none.wav")]) == 2
    said = capsys.readouterr().err
    assert "the card says 3 labels and 1600 samples, the model 2 and 1600" in said
    assert said.count("\n") == 1


def test_model_of_others_without_a_card_still_runs(tmp_path, capsys):
    path = tmp_path / "theirs.tflite"
    path.write_bytes(made.loudness_model())
    probs = Interpreter(path)(np.zeros(made.CLIP_SAMPLES, np.float32))
    assert probs[1] > probs[0]
    copy = shutil.copy(path, tmp_path / "copy.tflite")
    assert compare.main([str(path), str(copy)]) == 0

"""How two models are held against each other: the rule for few clips, every clip, every layer."""

import csv
import math

import numpy as np
import pytest
import tensorflow as tf

from audio_edge import layers, parity
from audio_edge.errors import UserError
from audio_edge.interpreter import available_runtimes
from tests import models_for_tests as made
from tflite import compare


def exact_tail(agreed: int, n: int, share: float) -> float:
    return math.fsum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(agreed + 1))


@pytest.mark.parametrize(("agreed", "n", "share"), [(0, 1, 0.95), (18, 20, 0.95), (470, 489, 0.98)])
def test_tail_is_the_binomial_distribution_s(agreed, n, share):
    """1e-9: logarithms of factorials up to 489."""
    expected = exact_tail(agreed, n, share)
    assert parity.agreement_tail(agreed, n, share) == pytest.approx(expected, rel=1e-9)


def test_tail_at_its_ends():
    assert parity.agreement_tail(7, 7, 0.95) == 1.0
    assert parity.agreement_tail(7, 7, 1.0) == 1.0
    assert parity.agreement_tail(6, 7, 1.0) == 0.0  # if all must, one is too many
    assert parity.agreement_tail(0, 7, 0.0) == 1.0
    assert parity.agreement_tail(99_000, 100_000, 0.95) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("agreed", "n", "breach"),
    [
        (19, 20, False),
        (18, 20, False),  # 90 % of 20 clips: once in four by chance
        (16, 20, True),
        (90, 99, False),
        (89, 99, True),
        (95, 100, False),  # from here on, the share itself
        (94, 100, True),
        (950, 1000, False),
        (949, 1000, True),
    ],
)
def test_few_clips_are_a_breach_only_where_chance_would_not_do(agreed, n, breach):
    assert parity.agrees(agreed / n, n, parity.Limits(1.0, 0.95)) is not breach


def test_rule_for_few_clips_is_right_for_models_that_agree_as_often_as_they_must():
    """Whatever the number of clips, at most one in twenty of them is stopped."""
    limits = parity.Limits(1.0, 0.95)
    for n in (5, 20, 60, parity.MANY - 1):
        chance = [math.comb(n, k) * 0.95**k * 0.05 ** (n - k) for k in range(n + 1)]
        stopped = [not parity.agrees(k / n, n, limits) for k in range(n + 1)]
        assert np.dot(chance, stopped) <= 0.05


@pytest.fixture
def pair(tmp_path):
    """The keyword model, and the same with another answer for loud clips: carded, on disk."""
    paths = tmp_path / "a.tflite", tmp_path / "b.tflite"
    for path, quantized in zip(paths, (False, True), strict=True):
        model = made.keyword_model(quantized)
        path.write_bytes(made.carded(model, labels=("a", "b", "c")))
    return tuple(map(str, paths))


def test_every_clip_is_told(pair, tmp_path, capsys):
    out = tmp_path / "clips.csv"
    loose = ["--max-delta", "1", "--min-agreement", "0"]
    assert compare.main([*pair, *loose, "--csv", str(out)]) == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    result = parity.compare(*pair)
    assert len(rows) == result["n"]
    greatest = [float(row["max_delta"]) for row in rows]
    assert max(greatest) == result["max_delta"] > 0
    assert np.mean(greatest) == pytest.approx(result["mean_delta"])
    assert np.mean([float(row["mean_delta"]) for row in rows]) == pytest.approx(
        result["mean_abs_delta"]
    )
    assert result["worst"][0]["clip"] == result["worst_clip"]
    assert compare.main([*pair, *loose, "--csv", str(out)]) == 2
    assert "exists; give --force" in capsys.readouterr().err


def bands(gain: float) -> bytes:
    """Two named layers; `gain` goes into the second one."""
    kernel = np.random.default_rng(0).normal(size=(made.CLIP_SAMPLES, 4)).astype(np.float32)
    second = np.eye(4, 3, dtype=np.float32) * np.float32(gain) / 100

    def call(waveform):
        with tf.name_scope("net/first"):
            x = tf.nn.relu(tf.matmul(waveform, kernel))
        with tf.name_scope("net/second"):
            x = tf.matmul(x, second)
        return tf.nn.softmax(x)

    return made.convert(call, 1, made.CLIP_SAMPLES)


def test_layer_whose_weights_differ_is_where_the_error_enters(tmp_path, rng):
    """A gain of 1.1 leaves a tenth of the signal as noise: 20 dB, to the rounding of float32."""
    paths = tmp_path / "a.tflite", tmp_path / "b.tflite"
    for path, gain in zip(paths, (1.0, 1.1), strict=True):
        path.write_bytes(bands(gain))
    clips = rng.uniform(-1, 1, (5, made.CLIP_SAMPLES)).astype(np.float32)
    rows = {row["layer"]: row for row in layers.layer_snr(*paths, clips)}
    [first] = [row for name, row in rows.items() if "first" in name]
    [second] = [row for name, row in rows.items() if "second" in name]
    assert first["snr_db"] is None
    assert second["snr_db"] == pytest.approx(20.0, abs=0.01)
    assert second["lost_db"] is None  # enters here
    assert rows["output"]["lost_db"] == pytest.approx(20.0 - rows["output"]["snr_db"], abs=0.02)


def test_int8_layers_are_matched_to_those_of_the_float_file(pair, capsys):
    assert compare.main([*pair, "--max-delta", "1", "--min-agreement", "0", "--per-layer"]) == 0
    printed = capsys.readouterr().out
    assert "layers of the same name" in printed
    assert "<- enters" in printed
    rows = layers.layer_snr(*pair, np.zeros((1, made.CLIP_SAMPLES), np.int16))
    assert {row["dtype"] for row in rows} >= {"FLOAT32", "INT8"}


def test_files_without_a_common_layer_have_no_layers_to_tell(pair, tmp_path):
    other = tmp_path / "loud.tflite"
    other.write_bytes(made.dense_model(made.CLIP_SAMPLES, 7))
    with pytest.raises(UserError, match="have no layer of the same name"):
        layers.layer_snr(pair[0], other, np.zeros((1, made.CLIP_SAMPLES), np.int16))


@pytest.mark.skipif(len(available_runtimes()) < 2, reason="needs two runtimes")
def test_one_file_in_two_runtimes(pair, capsys):
    names = ",".join(available_runtimes()[:2])
    assert compare.main([pair[0], "--runtimes", names]) == 0
    assert "top-1 agreement          100.00 %" in capsys.readouterr().out
    result = parity.compare(pair[0], pair[0], runtimes=tuple(available_runtimes()[:2]))
    assert result["runtimes"] == available_runtimes()[:2]


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ([], "give B, or two --runtimes"),
        (["--runtimes", "ai_edge_litert"], "--runtimes must name two"),
        (["--runtimes", "nope,tensorflow"], "runtime must be one of"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(pair, given, rule, capsys):
    assert compare.main([pair[0], *given]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ") and rule in said

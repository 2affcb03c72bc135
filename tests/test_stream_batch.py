"""Several streams through one file are to the bit those of single files, whenever each began."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from audio_edge import (
    Detector,
    Interpreter,
    StreamBatch,
    StreamingInterpreter,
    export,
    listen,
    stream_parity,
    targets,
)
from audio_edge.card import read_card
from audio_edge.errors import UserError
from audio_edge.interpreter import available_runtimes
from audio_edge.peers_benchmark import listeners
from audio_edge.streaming_interpreter import open_model
from benchmarks import streams as load_command
from tests.streams import run, sound
from tflite import compare, convert

pytestmark = pytest.mark.xdist_group("stream_batch")

KINDS, STREAMS, HOPS = ("float", "int8"), 16, 30
SETTINGS = {
    "data": {"clip_s": 0.4},
    "frontend": {"hop_length": 320, "n_mels": 16},
    "model": {"name": "ds_cnn", "width": 8, "depth": 1, "dropout": 0.0, "padding": "valid"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run and its files: of clips, of one stream and of STREAMS, float and int8."""
    found = run(tmp_path_factory.mktemp("batch") / "run", **SETTINGS)
    export.convert(found, "float")
    for kind in KINDS:
        export.convert(found, kind, stream=True)
        export.convert(found, kind, stream=True, streams=STREAMS)
    return found


def batched(made, kind):
    return made.model(kind, streaming=True, streams=STREAMS)


@pytest.mark.parametrize("runtime", available_runtimes())
@pytest.mark.parametrize("kind", KINDS)
def test_every_hop_is_that_of_a_single_stream_whenever_it_began(kind, runtime, made):
    """The same sums in the same order, so no tolerance; before its beginning it hears others.

    But the softmax of tflite-runtime 2.14 rounds several rows otherwise than one, in the last bit.
    """
    batch = StreamBatch(batched(made, kind), runtime=runtime)
    single = StreamingInterpreter(made.model(kind, streaming=True), runtime=runtime)
    size = single.packet_samples
    sounds = [sound(HOPS * size / 16000, seed=seed) for seed in range(STREAMS)]
    packets = np.stack([waveform.reshape(HOPS, size) for waveform in sounds])
    begins = [3 * stream % 11 for stream in range(STREAMS)]
    heard = np.empty((STREAMS, HOPS, len(batch.labels)), np.float32)
    for hop in range(HOPS):
        for stream in np.flatnonzero(np.equal(begins, hop)):
            batch.reset(int(stream))
        heard[:, hop] = batch.push(packets[:, hop])
    assert np.ptp(heard, axis=(0, 1)).max() > 0.2
    for row, waveform, begin in zip(heard, sounds, begins, strict=True):
        single.reset()
        wanted = single.push(waveform[begin * size :])
        atol = 1e-6 if runtime == "tflite_runtime" else 0
        np.testing.assert_allclose(row[begin:], wanted, rtol=0, atol=atol)


def test_batches_of_one_file_do_not_hear_each_other(made, rng):
    batch = StreamBatch(batched(made, "int8"))
    shape = (2, 5, STREAMS, batch.packet_samples)
    sounds = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    alone = []
    for packets in sounds:
        batch.reset()
        alone.append([batch.push(packet) for packet in packets])
    forks = [batch.fork() for _ in sounds]
    turns = [[fork.push(packet) for fork, packet in zip(forks, turn, strict=True)]
             for turn in zip(*sounds, strict=True)]  # fmt: skip
    np.testing.assert_array_equal(np.swapaxes(turns, 0, 1), alone)


def test_called_on_clips_it_answers_as_the_file_of_clips(made):
    clips = np.stack([sound(0.4, seed=seed) for seed in range(STREAMS + 3)])
    wanted = Interpreter(made.model("float"))(clips)
    heard = open_model(batched(made, "float"))
    np.testing.assert_allclose(heard(clips), wanted, atol=1e-5)  # sums in another order
    np.testing.assert_array_equal(heard(clips[-1]), heard(clips)[-1])
    assert heard(clips[:0]).shape == (0, wanted.shape[1])


@pytest.mark.skipif("ai_edge_litert" not in available_runtimes(), reason="needs ai-edge-litert")
def test_another_python_hands_the_states_of_all_streams_on(made, monkeypatch):
    """This Python stands for the other one."""
    clips = np.stack([sound(0.4, seed=seed) for seed in range(3)])
    path = batched(made, "int8")
    wanted = open_model(path, runtime="ai_edge_litert")(clips)
    monkeypatch.setenv("AUDIO_EDGE_AI_EDGE_LITERT", sys.executable)
    np.testing.assert_array_equal(targets.hear([path], "ai-edge-litert", clips), [wanted])


def test_compare_holds_every_stream_against_clips_at_every_hop(made, tmp_path, capsys):
    paths = [tmp_path / "streams.tflite", tmp_path / "clips.tflite"]  # outside the run's data
    for path, source in zip(paths, [batched(made, "float"), made.model("float")], strict=True):
        path.write_bytes(source.read_bytes())
    assert compare.main([str(path) for path in paths]) == 0
    assert "a whole clip" in capsys.readouterr().out


def test_compare_finds_a_stream_that_does_not_begin_anew(made, monkeypatch):
    batch, clips = StreamBatch(batched(made, "float")), Interpreter(made.model("float"))
    monkeypatch.setattr(batch, "reset", lambda stream=None: None)
    found = stream_parity.compare(batch, clips, {"a.wav": (sound(3.0) * 32767).astype(np.int16)})
    assert found["max_delta"] > 1e-3


@pytest.mark.parametrize("shape", [(1, 640), (STREAMS, 641), (640,)])
def test_packets_of_another_shape_are_refused(shape, made):
    with pytest.raises(ValueError, match="packets must be"):
        StreamBatch(batched(made, "int8")).push(np.zeros(shape, np.float32))


def test_stream_that_is_not_there_cannot_begin_anew(made):
    with pytest.raises(ValueError, match="stream must be in"):
        StreamBatch(batched(made, "int8")).reset(STREAMS)


def test_file_of_one_stream_is_a_batch_of_one(made):
    path = made.model("int8", streaming=True)
    batch, single = StreamBatch(path), StreamingInterpreter(path)
    packet = sound(0.08)[None]
    assert batch.streams == 1
    np.testing.assert_array_equal(batch.push(packet), single.push(packet[0]))


@pytest.mark.parametrize("opened", [StreamingInterpreter, Detector, listeners.ours])
def test_what_hears_one_stream_refuses_several_with_the_remedy(opened, made):
    with pytest.raises(UserError, match="takes 16 streams at once.*without --streams"):
        opened(str(batched(made, "int8")))


def test_listen_refuses_several_streams_with_one_sentence(made, capsys):
    assert listen.main([str(batched(made, "int8")), "none.wav"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_card_and_name_say_how_many_streams_a_file_takes(made):
    path = batched(made, "int8")
    assert path.name == "model_int8_streaming_16.tflite"
    assert read_card(path).streaming["streams"] == STREAMS
    assert "streams" not in read_card(made.model("int8", streaming=True)).streaming


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--streams", "4"], "give --streaming too"),
        (["--streaming", "--streams", "0"], "must be in"),
        (["--streaming", "--streams", "100000"], "must be in"),
    ],
)
def test_convert_refuses_streams_that_cannot_be(given, said, made, capsys, tmp_path):
    out = tmp_path / "x.tflite"
    assert convert.main([str(made.stage("float")), *given, "--out", str(out)]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_load_has_rows_for_one_stream_and_for_several_at_once(made, capsys):
    paths = [str(made.model("int8", streaming=True)), str(batched(made, "int8"))]
    assert load_command.main([*paths, "--streams", "1,20"]) == 0
    rows = [line.split("|")[1:3] for line in capsys.readouterr().out.splitlines() if "|" in line]
    assert [[int(cell) for cell in row] for row in rows[2:]] == [[1, 1], [1, 20], [16, 1], [16, 20]]

"""A streaming file against the file of clips: in every runtime, at every hop, in the detector."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tf_keras as keras

from audio_edge import (
    Detector,
    Interpreter,
    StreamingInterpreter,
    export,
    frontend,
    parity,
    targets,
)
from audio_edge.card import read_card
from audio_edge.config import FrontendConfig
from audio_edge.errors import UserError
from audio_edge.interpreter import available_runtimes, load
from audio_edge.lowering import stream_to_flatbuffer
from audio_edge.streaming import to_streaming
from audio_edge.streaming_interpreter import open_model
from tests.streams import LABELS, run, sound
from tflite import compare as compare_command
from tflite import convert as convert_command

pytestmark = pytest.mark.xdist_group("streaming_file")

RUNTIMES = available_runtimes()
KINDS = ("float", "int8")
SETTINGS = {
    "data": {"clip_s": 1.04},  # 13 packets, so that both look at the same hops
    "frontend": {"hop_length": 320, "n_mels": 16},
    "model": {"name": "ds_cnn", "width": 8, "depth": 2, "dropout": 0.0, "padding": "valid"},
    "detector": {"hop_s": 0.08, "window_s": 0.16, "threshold": 0.4, "refractory_s": 0.2},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run, its folder beside that of its files, of clips and of streams, float and int8."""
    found = run(tmp_path_factory.mktemp("streams") / "run", **SETTINGS)
    for kind in KINDS:
        for stream, path in enumerate(files(found, kind)):
            export.convert(found, kind, out=path, stream=bool(stream))
    return found


def files(made, kind):
    """The file of clips, the file of streams."""
    folder = made.dir.parent / "files"
    return folder / f"{kind}.tflite", folder / f"{kind}_streaming.tflite"


def hops(clips, waveform, packet):
    """Answers of the clip's model after every packet, silence before the first sample."""
    padded = np.concatenate([np.zeros(clips.clip_samples, np.float32), waveform])
    ends = range(packet, len(waveform) + 1, packet)
    return np.stack([clips(padded[end : end + clips.clip_samples]) for end in ends])


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_hop_is_what_the_file_of_clips_says(kind, runtime, made):
    clip_file, stream_file = files(made, kind)
    stream = StreamingInterpreter(stream_file, runtime=runtime)
    waveform = sound(20.0)
    heard = stream.push(waveform)
    wanted = hops(Interpreter(clip_file, runtime=runtime), waveform, stream.packet_samples)
    assert np.ptp(wanted, axis=0).max() > 0.2
    if kind == "float":
        np.testing.assert_allclose(heard, wanted, atol=1e-5)
    else:  # the same integers, but where the front end's rounding decides a step
        assert (heard.argmax(axis=1) == wanted.argmax(axis=1)).mean() >= 0.995
        assert np.abs(heard - wanted).mean() < 1e-3


def test_states_of_the_classifier_are_int8_and_go_in_at_the_scale_they_came_out(made):
    stream = StreamingInterpreter(files(made, "int8")[1])
    batch = stream._batch
    pairs = list(zip(stream.card.streaming["states"], batch._before, batch._after, strict=True))
    assert len(pairs) >= 4
    for name, before, after in pairs:
        assert before["dtype"] == after["dtype"] == (np.float32 if name == "logmel" else np.int8)
        assert before["quantization"] == after["quantization"]
        assert tuple(before["shape"]) == tuple(after["shape"])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_signature_names_packet_and_states_in_pairs(runtime, made):
    content = files(made, "int8")[1].read_bytes()
    [signature] = load(content, runtime, 1).get_signature_list().values()
    names = read_card(files(made, "int8")[1]).streaming["states"]
    assert set(signature["inputs"]) == {"packet", *(f"state_{name}" for name in names)}
    assert set(signature["outputs"]) == {"probs", *(f"next_{name}" for name in names)}


def test_signature_runner_goes_on_by_names_alone(made):
    """As Kotlin and C++ would: nothing but the names of the signature."""
    path = files(made, "int8")[1]
    card = read_card(path)
    runner = load(path.read_bytes(), RUNTIMES[0], 1).get_signature_runner()
    states = {
        name: np.zeros(details["shape"], details["dtype"])
        for name, details in runner.get_input_details().items()
        if name != "packet"
    }
    size = card.streaming["packet_samples"]
    silence = np.zeros(size * card.streaming["silence_packets"], np.float32)
    waveform = sound(3.0)
    waveform = waveform[: len(waveform) // size * size]
    probs = []
    for packet in np.concatenate([silence, waveform]).reshape(-1, 1, size):
        outputs = runner(packet=packet, **states)
        probs.append(outputs["probs"][0])
        states = {name: outputs[name.replace("state_", "next_", 1)] for name in states}
    heard = StreamingInterpreter(path, runtime=RUNTIMES[0]).push(waveform)
    np.testing.assert_array_equal(probs[-len(heard) :], heard)


def test_state_that_is_the_whole_packet_has_a_tensor_of_its_own():
    """Frames of 640 samples every 320: the state of the front end is the packet before."""
    settings = FrontendConfig(hop_length=320, frame_length=640, n_fft=1024, n_mels=16)
    waveform = keras.Input([3200], name="waveform")
    features = frontend.build(settings, sample_rate=16000)(waveform)
    stream = to_streaming(keras.Model(waveform, keras.layers.GlobalMaxPooling2D()(features)))
    assert stream.shapes["logmel"] == (1, stream.packet_samples)
    runner = load(stream_to_flatbuffer(stream), RUNTIMES[0], 1)
    names = {item["name"] for item in runner.get_input_details() + runner.get_output_details()}
    assert {"packet", "state_logmel", "next_logmel"} <= names


def test_pieces_of_any_length_give_the_same_as_the_whole(made, rng):
    stream = StreamingInterpreter(files(made, "int8")[1])
    waveform = sound(4.0)
    whole = stream.push(waveform)
    stream.reset()
    cuts = np.sort(rng.integers(0, len(waveform), 40))
    parts = [stream.push(part) for part in np.split(waveform, cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_stream_forgets_all_but_the_last_seconds(made):
    """After two minutes the state is to the bit that of a stream that heard their end alone."""
    long, fresh = (StreamingInterpreter(files(made, "int8")[1]) for _ in range(2))
    waveform = sound(120.0)
    waveform = waveform[: len(waveform) // long.packet_samples * long.packet_samples]
    long.push(waveform)
    kept = long.card.streaming["silence_packets"] * long.packet_samples
    fresh.push(waveform[-kept:])
    states = long._batch._states, fresh._batch._states
    for name, a, b in zip(long.card.streaming["states"], *states, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_called_on_clips_it_answers_as_the_file_of_clips(made):
    clip_file, stream_file = files(made, "float")
    clips = np.stack([sound(1.04, seed=seed) for seed in range(5)])
    wanted = open_model(clip_file)(clips)
    np.testing.assert_allclose(open_model(stream_file)(clips), wanted, atol=1e-5)
    np.testing.assert_allclose(open_model(stream_file)(clips[0]), wanted[0], atol=1e-5)


@pytest.mark.skipif("ai_edge_litert" not in RUNTIMES, reason="needs ai-edge-litert")
def test_another_python_hands_the_states_on(made, monkeypatch):
    """This Python stands for the other one; clips and streams go there together."""
    paths = [*files(made, "float"), *files(made, "int8")]
    clips = np.stack([sound(1.04, seed=seed) for seed in range(3)])
    wanted = [open_model(path, runtime="ai_edge_litert")(clips) for path in paths]
    monkeypatch.setenv("AUDIO_EDGE_AI_EDGE_LITERT", sys.executable)
    np.testing.assert_array_equal(targets.hear(paths, "ai-edge-litert", clips), wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_detector_finds_the_same_with_either_file(kind, made):
    waveform = sound(30.0)
    by_clips, by_stream = (Detector(path).detect(waveform) for path in files(made, kind))
    assert len(by_clips) >= 5
    assert [(d.label, d.time_s) for d in by_stream] == [(d.label, d.time_s) for d in by_clips]
    scores = [[d.score for d in found] for found in (by_stream, by_clips)]
    np.testing.assert_allclose(*scores, atol=1e-5 if kind == "float" else 0.02)


def test_detector_looks_at_every_nearest_packet(made):
    detector = Detector(files(made, "int8")[1], hop_s=0.1)
    assert detector.hop_samples == 1280
    assert set(detector.smoother.window) == {2}
    again = [detector.detect(sound(5.0)) for _ in range(2)]
    assert again[0] == again[1]


def test_files_are_not_taken_for_each_other(made):
    clip_file, stream_file = files(made, "float")
    with pytest.raises(UserError, match="StreamingInterpreter"):
        Interpreter(stream_file)
    with pytest.raises(UserError, match="--streaming"):
        StreamingInterpreter(clip_file)


def test_compare_holds_a_stream_against_clips_at_every_hop(made, capsys):
    clip_file, stream_file = files(made, "int8")
    assert compare_command.main([str(stream_file), str(clip_file), "--max-delta", "0.15"]) == 0
    said = capsys.readouterr().out
    assert "hops" in said
    assert "a whole clip" in said
    result = parity.compare(stream_file, clip_file)["hops"]
    assert result["hops"] == 750
    assert 0 < result["cost"] < 1


def test_compare_finds_a_stream_that_is_not_the_clip_model(made, tmp_path):
    causal = {**SETTINGS, "model": {**SETTINGS["model"], "padding": "causal"}}
    other = run(tmp_path / "causal", int8=False, **causal)
    clip_file, stream_file = files(other, "float")
    export.convert(other, "float", out=clip_file)
    export.convert(other, "float", out=stream_file, stream=True)
    assert not read_card(stream_file).streaming["exact"]
    result = parity.compare(clip_file, stream_file)
    assert not result["ok"]
    assert result["hops"]["max_delta"] > 0.01


def test_convert_writes_the_file_and_its_card(made, tmp_path, capsys):
    target = tmp_path / "out.tflite"
    stage = str(made.stage("float"))
    assert convert_command.main([stage, "--streaming", "--out", str(target)]) == 0
    told = read_card(target)
    assert told.labels == LABELS
    assert told.clip_samples == 16640
    assert told.streaming["packet_samples"] == 1280
    assert told.streaming["exact"]
    assert capsys.readouterr().out.splitlines()[-1] == str(target)

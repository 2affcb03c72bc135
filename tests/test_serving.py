"""The service's answers: what a client gets for a recording, for numbers and for live sound."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import re
import subprocess
import sys

import httpx2
import numpy as np
import pytest
import soundfile
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from audio_edge import Detector, Interpreter, audio
from audio_edge.errors import UserError
from audio_edge.serving import shelf
from audio_edge.serving.__main__ import main
from tests import services
from tests.conftest import CLIP, LABELS, SAMPLE_RATE, tone, tone_probs
from tests.services import encoded


def said() -> np.ndarray:
    """Silence, a low tone, silence, a high tone, silence: float32."""
    order = [("silence", 0.5), ("low", 0.15), ("silence", 0.5), ("high", 0.15), ("silence", 0.7)]
    return np.concatenate([tone(label, seconds) for label, seconds in order])


@pytest.fixture(scope="module")
def path(carded, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "tones.tflite"
    path.write_bytes(carded)
    return str(path)


@pytest.fixture(scope="module")
def client(path):
    with services.client({"tones": path, "again": path}) as found:
        yield found


def recognized(client, content, **query):
    return client.post("/v1/recognize", params={"model": "tones", **query}, content=content)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_recording_of_any_format_gives_the_detections_of_the_library(client, path, form):
    content = encoded(said(), form)
    answer = recognized(client, content)
    assert answer.status_code == 200
    heard = answer.json()["detections"]
    assert [item["label"] for item in heard] == ["low", "high"]
    if form == "WAV":
        wanted = Detector(path).detect(soundfile.read(io.BytesIO(content), dtype="float32")[0])
        assert [(item["label"], item["score"], item["time_s"]) for item in heard] == [
            (item.label, item.score, item.time_s) for item in wanted
        ]


def test_form_and_bare_body_give_the_same(client):
    content = encoded(said())
    form = client.post("/v1/recognize?model=tones", files={"file": ("a.wav", content)})
    assert form.json() == recognized(client, content).json()


@pytest.mark.parametrize("query", ["", "&output=probabilities", "&output=sums", "&model=b"])
@pytest.mark.parametrize("content", [encoded(tone("low", 0.1)), b"no recording", b""])
def test_shortcut_answers_as_the_long_way_does(client, query, content):
    ways = [client.post(f"/v1/recognize?model=tones{query}{long}", content=content)
            for long in ("", "&unknown=1")]  # fmt: skip
    assert ways[0].status_code == ways[1].status_code
    assert ways[0].json() == ways[1].json()


def test_other_rate_is_resampled(client):
    time = np.arange(7200) / 48000
    content = encoded(np.pad(0.5 * np.sin(2 * np.pi * 500 * time), 24000), rate=48000)
    assert [item["label"] for item in recognized(client, content).json()["detections"]] == ["low"]


def test_clips_have_the_probabilities_of_the_formula(client):
    wave = np.concatenate([tone("low", 0.1), tone("high", 0.15)])
    answer = recognized(client, encoded(wave), output="probabilities").json()
    starts = [0, CLIP, len(wave) - CLIP]  # the last clip ends with the recording
    assert [clip["start_s"] for clip in answer["clips"]] == [at / SAMPLE_RATE for at in starts]
    for start, clip in zip(starts, answer["clips"], strict=True):
        wanted = tone_probs(audio.to_int16(wave)[start : start + CLIP] / 32768)
        # float32 against float64
        assert list(clip["probabilities"].values()) == pytest.approx(wanted, abs=1e-4)
    assert list(answer["clips"][0]["probabilities"]) == list(LABELS)


def test_short_recording_stands_in_the_middle_of_a_clip(client):
    wave = tone("low", 0.05)
    answer = recognized(client, encoded(wave), output="probabilities").json()
    wanted = tone_probs(np.pad(audio.to_int16(wave) / 32768, CLIP // 4))
    [clip] = answer["clips"]
    assert list(clip["probabilities"].values()) == pytest.approx(wanted, abs=1e-4)


def rows(n):
    return np.stack([tone(label, 0.1) for label in LABELS[-n:]])


@pytest.mark.parametrize(
    ("ask", "key"),
    [
        (lambda clips: {"instances": clips}, "predictions"),
        (lambda clips: {"instances": [{"waveform": clip} for clip in clips]}, "predictions"),
        (lambda clips: {"inputs": clips}, "outputs"),
        (lambda clips: {"inputs": {"waveform": clips}, "signature_name": "serving_default"},
         "outputs"),
    ],
)  # fmt: skip
def test_predict_answers_as_tensorflow_serving_does(client, path, ask, key):
    answer = client.post("/v1/models/tones:predict", json=ask(rows(2).tolist()))
    assert answer.status_code == 200
    assert list(answer.json()) == [key]
    assert answer.json()[key] == Interpreter(path)(rows(2)).tolist()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "JSON Parse error"),
        (b"[]", "must be a JSON object"),
        (b"{}", '"instances" or "inputs"'),
        (b'{"instances": [[0]], "inputs": [[0]]}', '"instances" or "inputs"'),
        (b'{"instances": []}', "shape=None"),
        (b'{"instances": [[1, 2], [3]]}', "ragged"),
        (b'{"instances": [["a"]]}', "something else"),
        (b'{"instances": [[0, 0]]}', "shape=[1, 2]"),
        (b'{"instances": [{"sound": [0]}]}', "'sound'"),
        (b'{"inputs": [[%s]]}' % b",".join([b"NaN"] * CLIP), "NaN"),
        (b'{"inputs": [[0]], "signature_name": "other"}', "signature_name"),
        (b"[" * 100000, "JSON Parse error"),
    ],
)
def test_bad_predict_request_is_refused_in_the_shape_of_tensorflow_serving(client, body, reason):
    answer = client.post("/v1/models/tones:predict", content=body)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert reason in answer.json()["error"]


def test_status_is_that_of_tensorflow_serving(client):
    [status] = client.get("/v1/models/tones").json()["model_version_status"]
    assert (status["version"], status["state"]) == ("1", "AVAILABLE")
    assert status["status"]["error_code"] == "OK"


def test_models_come_with_their_cards(client, tone_card):
    [first, second] = client.get("/v1/models").json()["models"]
    assert (first["name"], second["name"]) == ("tones", "again")
    assert first["card"] == json.loads(json.dumps(tone_card.to_dict()))
    assert first["labels"] == list(LABELS)
    assert first["clip_samples"] == CLIP


def test_openapi_page_and_schema_are_there(client):
    page = client.get("/docs").text
    parts = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(parts) == 3 and "http" not in page  # nothing comes from elsewhere
    assert {client.get(part).status_code for part in parts} == {200}
    paths = client.get("/openapi.json").json()["paths"]
    assert "multipart/form-data" in paths["/v1/recognize"]["post"]["requestBody"]["content"]
    assert "/v1/models/{name}:predict" in paths


def test_metrics_count_requests_sound_and_detections(client):
    def value(name):
        lines = client.get("/metrics").text.splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)

    sound = 'audio_edge_audio_seconds_total{model="tones"}'
    found = 'audio_edge_detections_total{model="tones"}'
    count = 'audio_edge_requests_total{method="POST",route="/v1/recognize",status="200"}'
    before = [value(name) for name in (sound, found, count)]
    recognized(client, encoded(said()))
    after = [value(name) for name in (sound, found, count)]
    assert np.subtract(after, before) == pytest.approx([2.0, 2, 1])


def test_one_model_needs_no_name_and_several_do(client, path):
    answer = client.post("/v1/recognize", content=encoded(said()))
    assert (answer.status_code, answer.json()["error"]) == (
        400, "name a model: ?model= one of tones, again",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["nobody", "..%2f..%2fetc%2fpasswd", "%00", "tones%2f.."])
def test_names_are_looked_up_and_never_paths(client, name):
    for answer in (
        client.get(f"/v1/models/{name}"), client.post(f"/v1/models/{name}:predict", content=b"{}")
    ):  # fmt: skip
        assert answer.status_code in (404, 405)
        assert "error" in answer.json()
    assert client.post(f"/v1/recognize?model={name}", content=b"x").status_code == 404


def listened(client, wave, *, encoding="pcm16", packet=777, **query):
    """What a live stream hears: (first message, detections)."""
    if wave.dtype != np.int16:
        wave = audio.to_int16(wave) if encoding == "pcm16" else wave.astype("<f4")
    query = "&".join(f"{key}={value}" for key, value in query.items())
    with client.websocket_connect(f"/v1/listen?model=tones&format={encoding}&{query}") as socket:
        first, heard = socket.receive_json(), []
        for start in range(0, len(wave), packet):
            socket.send_bytes(wave[start : start + packet].tobytes())
        socket.send_text("end")
        with pytest.raises(WebSocketDisconnect) as closed:
            while True:
                heard.append(socket.receive_json())
        assert closed.value.code == 1000
    return first, heard


@pytest.mark.parametrize("encoding", ["pcm16", "float32"])
def test_live_sound_gives_the_detections_of_a_detector(client, path, encoding):
    first, heard = listened(client, said(), encoding=encoding, sample_rate=SAMPLE_RATE)
    assert (first["model"], first["sample_rate"]) == ("tones", SAMPLE_RATE)
    detector = Detector(path)
    samples = audio.to_int16(said()) if encoding == "pcm16" else said()
    hops = (samples[at : at + detector.hop_samples] for at in range(0, len(samples), 400))
    wanted = [found for found in map(detector.push, hops) if found]
    assert heard == [dataclasses.asdict(item) for item in wanted]
    assert [item["label"] for item in heard] == ["low", "high"]


@pytest.mark.parametrize("model", ["model_int8", "model_int8_streaming"])
def test_live_sound_is_heard_by_trained_files_as_the_detector_hears_it(model):
    folder = services.ROOT / "tests" / "android"
    wave, _ = soundfile.read(folder / "snr15_seed110.wav", dtype="int16")
    path = str(folder / f"{model}.tflite")
    with services.client({"tones": path}) as client:
        _, heard = listened(client, wave, packet=1600)
    detector = Detector(path)
    hops = range(0, len(wave), detector.hop_samples)
    found = (detector.push(wave[at : at + detector.hop_samples]) for at in hops)
    assert heard == [dataclasses.asdict(item) for item in found if item]
    assert len(heard) >= 3


def test_live_streams_have_states_of_their_own(client):
    query = "/v1/listen?model=tones"
    with client.websocket_connect(query) as one, client.websocket_connect(query) as two:
        one.receive_json()
        two.receive_json()
        low, high = (audio.to_int16(tone(label, 0.4)).tobytes() for label in ("low", "high"))
        for start in range(0, len(low), 800):
            one.send_bytes(low[start : start + 800])
            two.send_bytes(high[start : start + 800])
        assert one.receive_json()["label"] == "low"
        assert two.receive_json()["label"] == "high"


@pytest.mark.parametrize(
    ("encoding", "message", "code"),
    [
        ("pcm16", b"\x00", 1003),
        ("float32", np.float32([0, np.nan]).tobytes(), 1003),
        ("pcm16", "hello", 1003),
        ("pcm16", bytes((1 << 20) + 2), 1009),
    ],
)
def test_bad_message_closes_the_stream_with_a_reason(client, encoding, message, code):
    with client.websocket_connect(f"/v1/listen?model=tones&format={encoding}") as socket:
        socket.receive_json()
        (socket.send_text if isinstance(message, str) else socket.send_bytes)(message)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == code
    assert closed.value.reason


@pytest.mark.parametrize(
    ("query", "status"),
    [("model=nobody", 404), ("model=tones&format=mp3", 400), ("model=tones&sample_rate=8000", 400)],
)
def test_stream_that_cannot_be_is_refused_before_it_begins(client, query, status):
    with pytest.raises(WebSocketDenialResponse) as refused:  # noqa: SIM117
        with client.websocket_connect(f"/v1/listen?{query}"):
            pass
    assert refused.value.status_code == status


def test_names_come_from_cards_files_or_the_argument(path, tmp_path, tone_model):
    (tmp_path / "bare.tflite").write_bytes(tone_model)
    given = [path, str(tmp_path / "bare.tflite"), f"mine={path}"]
    assert list(shelf.named(given)) == ["tones", "bare", "mine"]


@pytest.mark.parametrize("given", ["a/b={}", "={}", "..={}"])
def test_unfit_name_is_refused(path, given):
    with pytest.raises(UserError, match="no name for a URL"):
        shelf.named([given.format(path)])


def test_two_models_of_one_name_are_refused(path):
    with pytest.raises(UserError, match=r"is called 'tones' too; give NAME="):
        shelf.named([path, path])


@pytest.fixture
def logging_as_it_was():
    loggers = [logging.getLogger(name) for name in ("uvicorn", "audio_edge.serving")]
    before = [(logger, list(logger.handlers), logger.propagate) for logger in loggers]
    yield
    for logger, handlers, propagate in before:
        logger.handlers, logger.propagate = handlers, propagate


@pytest.mark.usefixtures("logging_as_it_was")
def test_bad_model_stops_the_command_with_one_line(tmp_path, capsys, carded):
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(carded[:-1])
    for given in (str(bad), f"x={bad}"):
        assert main([given, "--port", "0", "--workers", "1"]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {bad}: the file is damaged")


def test_command_serves_without_tensorflow_and_stops_on_sigterm(path):
    with services.Command(path, "--workers", "1") as command:
        answer = httpx2.post(f"{command.url}/v1/recognize", content=encoded(said()))
        assert [item["label"] for item in answer.json()["detections"]] == ["low", "high"]
        command.terminate()
        assert command.wait() == 0
    assert command.lines[-1]["event"] == "stopped"
    [line] = [line for line in command.lines if line.get("path") == "/v1/recognize"]
    assert (line["status"], line["model"], line["audio_s"]) == (200, "tones", 2.0)


def test_process_of_the_service_loads_no_runtime(path):
    def loaded(module):
        code = f"import sys, audio_edge.serving.{module}; print(sorted(sys.modules))"
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return {name.split(".")[0] for name in eval(done.stdout)}

    runtimes = {"ai_edge_litert", "tflite_runtime", "tensorflow", "tf_keras"}
    assert not loaded("app") & (runtimes | {"soundfile"})
    assert not loaded("feed") & runtimes  # the queue writes WAV


def test_benchmark_counts_requests_and_live_streams(path, tmp_path):
    out = tmp_path / "load.json"
    options = ["--rounds", "1", "--seconds", "1", "--half-s", "1", "--workers", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving", path, *options, "--streams", "3",
         "--json", str(out)], capture_output=True, text=True, cwd=services.ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())
    assert [row["output"] for row in results["rows"]] == ["detections", "probabilities"]
    assert all(row["service"] > 0 and row["errors"] == 0 for row in results["rows"])
    assert results["live"]["packets"] == 3 * 10
    assert results["live"]["closed"] == 0
    assert "3 live streams" in done.stdout

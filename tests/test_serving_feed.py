"""The service feeds the review queue: with consent alone, and never in the way of an answer."""

from __future__ import annotations

import io
import logging
import sqlite3
from pathlib import Path

import httpx2
import numpy as np
import pytest
import soundfile
from starlette.websockets import WebSocketDisconnect

from audio_edge import audio, files
from audio_edge.card import attach
from audio_edge.errors import UserError
from audio_edge.review.items import digest_of
from audio_edge.review.queue import Queue, create
from audio_edge.review.terms import Terms
from audio_edge.serving import feed, keys
from audio_edge.serving.__main__ import main
from audio_edge.serving.answers import Model
from audio_edge.serving.feed import Feeding
from tests import services
from tests.conftest import CLIP, LABELS, SAMPLE_RATE, tone
from tests.models_for_tests import convert
from tests.services import recording, until

SILENCE = tone("silence", 0.4)
# an amplitude of 0.19 is about as loud as the model's own doubt: softmax(2, 60 a^2, 0)
DOUBTFUL = recording(SILENCE, tone("low", 0.15, amplitude=0.19), SILENCE)
SURE = recording(SILENCE, tone("low", 0.15), SILENCE, tone("high", 0.15), SILENCE)


@pytest.fixture(scope="module")
def path(carded, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "tones.tflite"
    path.write_bytes(carded)
    return str(path)


@pytest.fixture(scope="module")
def always_high(tone_card, tmp_path_factory):
    """A model of the same labels that hears "high" in everything."""
    import tensorflow as tf

    def probs(waveform):
        logits = tf.constant([[0.0, 0.0, 4.0]]) + 0.0 * tf.reduce_sum(waveform)
        return tf.nn.softmax(logits)

    path = tmp_path_factory.mktemp("served") / "high.tflite"
    path.write_bytes(attach(convert(probs, 1, CLIP), tone_card))
    return str(path)


@pytest.fixture
def queue(tmp_path):
    return create(tmp_path / "queue", Terms(LABELS, consent="the testers, to everything"))


def fed(path, queue, *, models=None, control=0.0, workers=1, **keys):
    feeding = Feeding(str(queue.folder), keys.pop("against", None), control=control)
    return services.client(models or {"tones": path}, feed=feeding, workers=workers, **keys)


def recognized(client, content, **query):
    answer = client.post("/v1/recognize", params={"model": "tones", **query}, content=content)
    assert answer.status_code == 200
    return answer.json()


def kept(client, outcome):
    lines = client.get("/metrics").text.splitlines()
    name = f'audio_edge_review_clips_total{{outcome="{outcome}"}} '
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)


def test_doubtful_clip_is_kept_with_consent_and_nothing_without(path, queue):
    with fed(path, queue) as client:
        assert "review" not in recognized(client, DOUBTFUL)
        assert recognized(client, SURE, consent=True)["review"] == []
        [told] = recognized(client, DOUBTFUL, consent=True, source="anna")["review"]
        assert until(lambda: queue.next())
    [item] = queue.next(9)
    assert (item.sha256, item.why, item.source) == (told["clip"], "low margin", "anna")
    assert (item.model, item.model_sha256) == ("tones", files.sha256(Path(path).read_bytes()))
    samples, rate = soundfile.read(item.path, dtype="int16")
    start = round(told["start_s"] * SAMPLE_RATE)
    whole, _ = soundfile.read(io.BytesIO(DOUBTFUL), dtype="int16")
    assert (rate, len(samples)) == (SAMPLE_RATE, CLIP)  # of the recording the doubtful clip alone
    assert (samples == whole[start : start + CLIP]).all()
    assert abs(start + CLIP / 2 - 0.475 * SAMPLE_RATE) < 0.05 * SAMPLE_RATE  # around the tone
    assert abs(item.scores["low"] - item.scores["silence"]) < 0.2


def test_without_a_consent_on_record_nothing_is_kept(path, tmp_path, caplog):
    queue = create(tmp_path / "queue", Terms(LABELS))
    with fed(path, queue) as client:
        for _ in range(3):
            assert recognized(client, DOUBTFUL, consent=True)["review"]
        assert until(lambda: kept(client, "failed") == 3)
        [failure] = [item for item in caplog.records if item.message == "review_failed"]
        assert "no consent is on record" in failure.facts["error"]
    assert queue.next() == [] and not (queue.folder / "audio").exists()


def test_labels_that_are_set_while_the_service_runs_take_effect(path, queue):
    with fed(path, queue, control=1.0) as client:
        queue.agree(Terms(("yes", "no"), consent="the testers"))
        assert len(recognized(client, SURE, consent=True)["review"]) == 2  # not known yet
        assert until(lambda: kept(client, "dropped") == 2)
        assert "review" not in recognized(client, SURE, consent=True)
        assert reported(client, consent=True).json()["error"].startswith("the queue has other")
        queue.agree(Terms(LABELS, consent="the testers"))
        assert until(lambda: "review" in recognized(client, SURE, consent=True))
        queue.agree(Terms(("yes", "no"), consent="the testers"))
        assert reported(client, consent=True).status_code == 400
        queue.agree(Terms(LABELS, consent="the testers"))
        assert reported(client, consent=True, time_s=0.2).json()["taken"]


def test_control_sample_takes_what_the_model_is_sure_of(path, queue):
    with fed(path, queue, control=1.0) as client:
        told = recognized(client, SURE, consent=True)["review"]
        assert until(lambda: kept(client, "taken") == 2)
    assert {item["why"] for item in told} == {"control sample"}
    tops = [max(item.scores, key=item.scores.get) for item in queue.next(9)]
    assert tops == ["low", "high"]  # the clips around both detections


def test_probabilities_give_the_clips_of_the_answer(path, queue):
    with fed(path, queue) as client:
        answer = recognized(client, DOUBTFUL, consent=True, output="probabilities")
        assert until(lambda: len(queue.next(9)) == len(answer["review"]))
    starts = {clip["start_s"] for clip in answer["clips"]}
    assert answer["review"] and {clip["start_s"] for clip in answer["review"]} <= starts


def test_two_models_that_disagree_fill_the_queue(path, always_high, queue):
    models = {"tones": path, "high": always_high}
    with fed(path, queue, models=models, against="high") as client:
        [told] = recognized(client, SURE, consent=True)["review"]
        assert until(lambda: queue.next())
    assert told["why"] == "disagreement"  # on low alone
    [item] = queue.next(9)
    assert max(item.scores, key=item.scores.get) == "low"


def streamed(client, pieces, query=""):
    with client.websocket_connect(f"/v1/listen?model=tones&format=pcm16{query}") as socket:
        socket.receive_json()
        for piece in pieces:
            socket.send_bytes(audio.to_int16(piece).tobytes())
        socket.send_text("end")
        heard = []
        with pytest.raises(WebSocketDisconnect):
            while True:
                heard.append(socket.receive_json())
    return heard


def test_detection_in_a_stream_brings_its_sound_with_consent_alone(path, queue):
    pieces = [SILENCE, tone("low", 0.15), SILENCE]
    with fed(path, queue, control=1.0) as client:
        [bare] = streamed(client, pieces)
        [heard] = streamed(client, pieces, "&consent=true&source=hall")
        assert until(lambda: queue.next())
    assert heard == {**bare, "clip": queue.next()[0].sha256}
    [item] = queue.next(9)
    assert (item.source, item.samples) == ("hall", CLIP)
    assert max(item.scores, key=item.scores.get) == "low"


def reported(client, content=SURE, **query):
    return client.post("/v1/report", params={"model": "tones", **query}, content=content)


def test_reported_clip_comes_with_its_label_and_goes_on_request(path, queue):
    with fed(path, queue) as client:
        answer = reported(client, consent=True, label="high", time_s=0.475)
        assert (answer.status_code, answer.json()["taken"]) == (200, True)
        [item] = queue.next(9)
        assert (item.why, item.given, item.sha256) == ("reported", "high", answer.json()["clip"])
        assert max(item.scores, key=item.scores.get) == "low"
        assert client.delete(f"/v1/clips/{item.sha256}").json() == {"deleted": 1}
        assert queue.next() == [] and not item.path.exists()
        assert client.delete(f"/v1/clips/{item.sha256}").json() == {"deleted": 0}
        assert reported(client, consent=True, time_s=0.475).json()["taken"] is False
        first = reported(client, consent=True)  # the first detection, where no time is given
        assert first.json()["start_s"] == pytest.approx(0.425, abs=0.05)


def test_report_of_a_clip_that_waits_is_noted_and_said(path, queue):
    with fed(path, queue, control=1.0) as client:
        recognized(client, SURE, consent=True)
        assert until(lambda: kept(client, "taken") == 2)
        answers = [reported(client, consent=True, label="high").json() for _ in range(2)]
    assert [answer["taken"] for answer in answers] == [True, False]
    item = queue.find(answers[0]["clip"])
    assert (item.why, item.given, len(queue.next(9))) == ("reported", "high", 2)


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({}, 400, "consent=true"),
        ({"consent": True, "label": "tall"}, 400, "label must be one of silence, low, high"),
        ({"consent": True, "time_s": -1}, 422, "time_s"),
        ({"consent": True, "time_s": 9}, 422, "ends before 9 s"),
        ({"consent": True, "source": "a/../b"}, 422, "source"),
        ({"consent": True, "model": "nobody"}, 404, "no model"),
    ],
)
def test_report_that_says_too_little_or_too_much_is_refused(path, queue, query, status, said):
    with fed(path, queue) as client:
        answer = reported(client, **query)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True)
    assert queue.next() == []


def test_without_a_queue_nothing_can_be_reported(path):
    with services.client({"tones": path}) as client:
        assert reported(client, consent=True).status_code == 404
        assert "review" not in recognized(client, DOUBTFUL, consent=True)
        assert "/v1/report" not in client.get("/openapi.json").json()["paths"]


def test_owner_of_the_key_is_the_source(path, queue, tmp_path):
    head = {"X-API-Key": keys.add(tmp_path / "keys", "anna")}
    with fed(path, queue, keys_file=str(tmp_path / "keys")) as client:
        for query in ("", "&time_s=1&source=hall"):
            client.post(f"/v1/report?consent=true{query}", content=SURE, headers=head)
        assert client.delete(f"/v1/clips/{'0' * 64}").status_code == 401
    assert [item.source for item in queue.next(9)] == ["anna", "anna/hall"]


def test_locked_queue_keeps_no_answer_waiting(path, queue):
    with fed(path, queue) as client:
        with sqlite3.connect(queue.path, isolation_level=None) as db:
            db.execute("BEGIN EXCLUSIVE")
            told = recognized(client, DOUBTFUL, consent=True)["review"]
            assert kept(client, "taken") == 0
            db.execute("ROLLBACK")
        db.close()
        assert until(lambda: kept(client, "taken") == len(told) == 1)


def test_queue_that_fails_is_one_line_and_one_more_when_it_works(path, queue, caplog):
    caplog.set_level(logging.INFO, "audio_edge.serving")
    content = queue.path.read_bytes()

    def events(name):
        return [item for item in caplog.records if item.message == name]

    with fed(path, queue) as client:
        assert reported(client, consent=True).json()["taken"]
        queue.path.write_bytes(b"no database at all, and longer than a header" * 99)
        for _ in range(2):
            assert recognized(client, DOUBTFUL, consent=True)["review"]
        assert until(lambda: kept(client, "failed") == 2)
        assert reported(client, consent=True).status_code == 503
        assert client.delete(f"/v1/clips/{'0' * 64}").status_code == 503
        assert len(events("review_failed")) == 2  # the clips, and the deletion
        queue.path.write_bytes(content)
        recognized(client, DOUBTFUL, consent=True)
        assert until(lambda: kept(client, "taken") == 2)
        assert len(events("review_works")) == 1


def test_clips_are_dropped_and_counted_where_too_many_wait(path, queue, monkeypatch):
    monkeypatch.setattr(feed, "_BACKLOG", 2 * CLIP - 1)
    with fed(path, queue) as client:
        assert recognized(client, DOUBTFUL, consent=True)["review"]
        assert kept(client, "dropped") == 1
        assert reported(client, consent=True).status_code == 503
    assert queue.next() == []


def test_what_waits_is_kept_when_the_service_stops(path, queue):
    with fed(path, queue, control=1.0) as client:
        recognized(client, SURE, consent=True)
    assert len(queue.next(9)) == 2


def test_old_clips_go_though_nothing_comes(path, queue):
    samples = np.arange(CLIP, dtype=np.int16)
    queue.add(samples, SAMPLE_RATE, source="x", model="m", why="reported", now=0.0)
    with fed(path, queue):
        assert until(lambda: queue.next() == [])


def test_short_recording_is_kept_as_it_is(path):
    wave = tone("low", 0.05)
    told, [clip] = Model(path, "tones", 1).report(wave, None)
    assert (clip.samples == audio.to_int16(wave)).all()
    assert told["clip"] == digest_of(wave, SAMPLE_RATE) and told["start_s"] == 0


@pytest.mark.parametrize(
    ("terms", "feeding", "said"),
    [
        (Terms(("yes", "no")), {}, "are those of no model"),
        (Terms(LABELS), {"against": "nobody"}, "--against nobody: no such model; there are: tones"),
        (Terms(LABELS), {"against": "tones"}, "no other model has its labels"),
        (Terms(LABELS), {"margin": 2.0}, "--margin and --control must be in"),
        (None, {}, "no review queue; make one"),
    ],
)
def test_queue_that_does_not_fit_stops_the_service_before_it_begins(
    path, tmp_path, terms, feeding, said
):
    if terms:
        create(tmp_path / "queue", terms)
    with pytest.raises(UserError, match=said):  # noqa: SIM117
        with services.client({"tones": path}, feed=Feeding(str(tmp_path / "queue"), **feeding)):
            pass


def test_command_feeds_a_queue(path, queue):
    options = ["--queue", str(queue.folder), "--control", "1", "--workers", "1"]
    with services.Command(path, *options) as command:
        httpx2.post(f"{command.url}/v1/recognize?consent=true", content=SURE)
        command.terminate()
        assert command.wait() == 0
    assert len(Queue(queue.folder).next(9)) == 2


def test_second_opinion_without_a_queue_is_refused(path, capsys):
    assert main([path, "--port", "0", "--against", "x"]) == 2
    assert "--against is for the review queue" in capsys.readouterr().err

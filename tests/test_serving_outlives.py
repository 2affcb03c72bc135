"""What the service outlives: workers that die, replaced files, full disks; and how it stops."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time

import httpx2
import numpy as np
import pytest
from starlette.websockets import WebSocketDisconnect

from audio_edge import audio
from audio_edge.card import attach, split
from tests import services
from tests.conftest import SAMPLE_RATE, tone
from tests.services import CONTENT, encoded, heard, is_well, until


@pytest.fixture(scope="module")
def path(carded, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "tones.tflite"
    path.write_bytes(carded)
    return str(path)


def test_worker_that_is_killed_is_replaced_and_its_stream_told(path):
    with services.client({"tones": path}) as client:
        with client.websocket_connect("/v1/listen") as live:
            live.receive_json()
            [before] = services.workers(client)
            services.kill(before)
            live.send_bytes(audio.to_int16(tone("low", 0.2)).tobytes())
            with pytest.raises(WebSocketDisconnect) as closed:
                live.receive_json()
        assert closed.value.code == 1011
        assert is_well(client)
        assert services.workers(client) != [before]
        assert 'audio_edge_events_total{event="worker_died"} 1.0' in client.get("/metrics").text


def test_requests_outlive_the_workers_that_are_killed_under_them(path):
    with services.client({"tones": path}, workers=2) as client:
        answers, stop = [], threading.Event()

        def ask():
            while not stop.is_set():
                answers.append(client.post("/v1/recognize", content=CONTENT))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            assert until(lambda: services.workers(client))
            services.kill(services.workers(client)[0])
            time.sleep(0.3)
        stop.set()
        for thread in threads:
            thread.join()
        assert {answer.status_code for answer in answers} == {200}
        assert until(lambda: client.get("/healthz").json()["workers"] == 2)


def swapped(content: bytes) -> bytes:
    """The model with the names of low and high exchanged."""
    model, card = split(content, source="model")
    silence, low, high = card.labels
    return attach(model, dataclasses.replace(card, labels=(silence, high, low)))


def test_replaced_model_is_taken_up_and_a_bad_one_is_not(carded, tmp_path, caplog):
    path = tmp_path / "tones.tflite"
    path.write_bytes(carded)
    caplog.set_level(logging.INFO, "audio_edge.serving")

    def version():
        return client.get("/v1/models/tones").json()["model_version_status"][0]["version"]

    def failures():
        return [item for item in caplog.records if item.message == "reload_failed"]

    with services.client({"tones": str(path)}, look_s=0.05) as client:
        assert is_well(client)
        with client.websocket_connect("/v1/listen") as live:
            live.receive_json()
            (tmp_path / "new").write_bytes(swapped(carded))
            os.replace(tmp_path / "new", path)
            assert until(lambda: version() == "2")
            answer = client.post("/v1/recognize", content=CONTENT)
            assert (heard(answer), answer.json()["version"]) == (["high"], 2)
            # a stream goes on with the model that it began with
            live.send_bytes(audio.to_int16(tone("low", 0.2)).tobytes())
            assert live.receive_json()["label"] == "low"
        (tmp_path / "new").write_bytes(carded[: len(carded) // 2])
        os.replace(tmp_path / "new", path)  # else a look might come between, and one more failure
        assert until(failures)
        time.sleep(0.3)  # several looks
        [failure] = failures()
        assert failure.facts["kept"] == 2
        assert failure.facts["error"].startswith(f"{path}: the file is damaged")
        path.unlink()
        assert until(lambda: len(failures()) == 2)
        for pid in services.workers(client):  # a new worker must not load the bad file either
            services.kill(pid)
        assert heard(client.post("/v1/recognize", content=CONTENT)) == ["high"]
        path.write_bytes(carded)
        assert until(lambda: version() == "3")
        assert is_well(client)


def limit_files(pid: int, size: int) -> None:
    """What a full disk is to a process: it may write no file beyond this size."""
    resource = pytest.importorskip("resource")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit")
def test_full_disk_keeps_the_old_model_and_the_new_one_comes_when_there_is_space(carded, tmp_path):
    path = tmp_path / "tones.tflite"
    path.write_bytes(carded)
    with services.Command(f"tones={path}", "--workers", "1", "--look-s", "0.05") as command:

        def told(event):
            return [line for line in command.lines if line.get("event") == event]

        def answer():
            return httpx2.post(f"{command.url}/v1/recognize", content=CONTENT)

        limit_files(command.pid, 0)
        (tmp_path / "new").write_bytes(swapped(carded))
        os.replace(tmp_path / "new", path)
        assert until(lambda: told("reload_failed"))
        time.sleep(0.3)  # several looks
        [failure] = told("reload_failed")
        assert re.fullmatch(
            r".*tones.tflite: cannot be copied to .*; free space there", failure["error"]
        )
        assert (heard(answer()), answer().json()["version"]) == (["low"], 1)
        limit_files(command.pid, -1)
        assert until(lambda: told("reloaded"))
        assert (heard(answer()), answer().json()["version"]) == (["high"], 2)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full")
def test_log_that_cannot_be_written_stops_nothing(path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "audio_edge.serving", path, "--port", str(port)]
    buffered = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(
            [*command, "--workers", "1"], stderr=full, cwd=services.ROOT, env=buffered
        )
    try:
        assert until(lambda: _open("127.0.0.1", port))
        answer = httpx2.post(f"http://127.0.0.1:{port}/v1/recognize", content=CONTENT)
        assert heard(answer) == ["low"]
    finally:
        process.terminate()
        assert process.wait(20) == 0


def test_stopping_answers_what_is_at_work(path):
    body = encoded(np.zeros(SAMPLE_RATE, np.int16))
    with services.Command(path) as command:
        host, port = command.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as line:
            line.sendall(b"POST /v1/recognize HTTP/1.1\r\nHost: a\r\nConnection: close\r\n")
            line.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body[:1000])
            assert until(
                lambda: "requests_at_work 1.0" in httpx2.get(f"{command.url}/metrics").text
            )
            command.terminate()
            assert until(lambda: not _open(host, int(port)))  # no other is taken any more
            line.sendall(body[1000:])
            received = b""
            while part := line.recv(4096):
                received += part
        assert received.startswith(b"HTTP/1.1 200 ")
        assert command.wait() == 0


def _open(host, port):
    try:
        socket.create_connection((host, port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True

"""What the service refuses, and that it goes on: limits, keys, connections that misbehave."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from types import SimpleNamespace

import httpx2
import numpy as np
import pytest
import uvicorn
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from uvicorn.server import ServerState

from audio_edge.errors import UserError
from audio_edge.serving import keys, protocol
from audio_edge.serving.limits import Limits
from tests import services
from tests.conftest import SAMPLE_RATE
from tests.services import CONTENT, encoded, is_well, until

BOUNDS = {
    "body_bytes": 200_000, "audio_s": 5.0, "decoded_bytes": 4_000_000, "streams": 2,
    "body_timeout_s": 1.0, "idle_timeout_s": 0.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def path(carded, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "tones.tflite"
    path.write_bytes(carded)
    return str(path)


@pytest.fixture(scope="module")
def client(path):
    with services.client({"tones": path}, limits=BOUNDS) as found:
        yield found


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    """(path, key): a file with the keys of anna and ben, and anna's key."""
    file = tmp_path_factory.mktemp("keys") / "keys.txt"
    key = keys.add(file, "anna")
    keys.add(file, "ben")
    return file, key


@pytest.fixture(scope="module")
def command(path, key_file):
    options = ["--keys", str(key_file[0]), "--body-timeout-s", "1", "--body-bytes", "200000"]
    with services.Command(path, "--workers", "2", *options) as found:
        yield found


ZEROS = np.zeros(30 * SAMPLE_RATE, np.int16)  # half a minute, a few KB as FLAC


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        pytest.param(bytes(200_001), 413, "larger than 200000 bytes", id="body"),
        pytest.param(encoded(ZEROS, "FLAC"), 413, "30 s by its header, more than", id="flac"),
        pytest.param(encoded(ZEROS, "OGG"), 413, "limit of 5 s", id="ogg"),
        # 4 s: 2 MB of 8 channels at 16 kHz, 12 MB at 96 kHz
        pytest.param(
            encoded(np.zeros((4 * 96000, 8), np.int16), "FLAC", 96000), 413, "limit of 1.3",
            id="channels",
        ),
        pytest.param(b"", 400, "empty", id="empty"),
        pytest.param(b"no recording", 422, "the recording: not a readable recording", id="text"),
        pytest.param(encoded(np.full(100, np.nan), subtype="FLOAT"), 422, "NaN", id="nan"),
    ],
)  # fmt: skip
def test_what_is_too_much_or_unreadable_is_refused_with_its_status(client, content, status, reason):
    answer = client.post("/v1/recognize", content=content)
    assert answer.status_code == status
    assert reason in answer.json()["error"]


def test_same_seconds_of_fewer_samples_are_taken(client):
    content = encoded(np.zeros((4 * SAMPLE_RATE, 8), np.int16), "FLAC")
    assert client.post("/v1/recognize", content=content).status_code == 200


def test_body_of_unknown_length_is_cut_off_at_the_limit(client):
    answer = client.post("/v1/recognize", content=(bytes(1000) for _ in range(201)))
    assert answer.status_code == 413


def test_damaged_forms_are_refused(client):
    head = {"content-type": "multipart/form-data; boundary=x"}
    for body in (
        b"junk",
        b"--x\r\n",
        b"--x--\r\n",
        b"--x\r\nContent-Disposition: form-data\r\n\r\n",
    ):
        assert client.post("/v1/recognize", content=body, headers=head).status_code == 400
    bare = {"content-type": "multipart/form-data"}
    assert client.post("/v1/recognize", content=b"junk", headers=bare).status_code == 400
    wrong = client.post("/v1/recognize", files={"sound": ("a.wav", CONTENT)})
    assert (wrong.status_code, '"file"' in wrong.json()["error"]) == (400, True)


def test_recording_that_takes_too_much_memory_is_refused_and_the_worker_goes_on(path):
    # the filter between such rates has 16000 * 3415 taps: hundreds of megabytes
    odd = encoded(np.zeros(100_000, np.int16), rate=767_999)
    with services.client({"tones": path}, limits={"memory_bytes": 100 << 20}) as client:
        answer = client.post("/v1/recognize", content=odd)
        assert (answer.status_code, "memory" in answer.json()["error"]) == (413, True)
        assert is_well(client)


def test_work_that_takes_too_long_ends_with_its_worker(path):
    odd = encoded(np.zeros(100_000, np.int16), rate=767_999)
    limits = {"work_timeout_s": 0.3, "memory_bytes": 8 << 30}
    with services.client({"tones": path}, limits=limits) as client:
        before = services.workers(client)
        assert client.post("/v1/recognize", content=odd).status_code == 504
        assert until(lambda: services.workers(client) not in ([], before))
        assert client.get("/healthz").status_code == 200


def test_streams_beyond_the_limit_are_refused_until_one_ends(client):
    with client.websocket_connect("/v1/listen"), client.websocket_connect("/v1/listen"):
        with pytest.raises(WebSocketDenialResponse) as refused:  # noqa: SIM117
            with client.websocket_connect("/v1/listen"):
                pass
        assert refused.value.status_code == 503

    def opens():
        try:
            with client.websocket_connect("/v1/listen"):
                return True
        except WebSocketDenialResponse:
            return False

    assert until(opens)


def test_stream_without_sound_is_closed(client):
    with client.websocket_connect("/v1/listen") as live:
        live.receive_json()
        with pytest.raises(WebSocketDisconnect) as closed:
            live.receive_json()
    assert closed.value.code == 1008


def test_command_asks_for_a_key_everywhere_but_at_health(command, key_file):
    right, get = {"Authorization": f"Bearer {key_file[1]}"}, httpx2.get
    assert get(f"{command.url}/v1/models").status_code == 401
    assert get(f"{command.url}/metrics").status_code == 401
    for wrong in ("x", key_file[1][:-1], key_file[1] + "x", "é"):
        head = {"Authorization": f"Bearer {wrong}".encode()}
        answer = httpx2.post(f"{command.url}/v1/recognize", content=CONTENT, headers=head)
        assert (answer.status_code, "key" in answer.json()["error"]) == (401, True)
    assert get(f"{command.url}/healthz").status_code == 200
    assert get(f"{command.url}/openapi.json").json()["security"] == [{"key": []}]
    assert get(f"{command.url}/v1/models", headers=right).status_code == 200
    with httpx2.Client(base_url=command.url, headers={"X-API-Key": key_file[1]}) as client:
        assert is_well(client)


def test_log_holds_neither_sound_nor_keys(command, key_file):
    head = {"Authorization": f"Bearer {key_file[1]}"}
    answer = httpx2.post(f"{command.url}/v1/recognize", content=CONTENT, headers=head)
    number = answer.headers["x-request-id"]
    assert until(lambda: any(line.get("id") == number for line in command.lines))
    [line] = [line for line in command.lines if line.get("id") == number]
    assert set(line) == {
        "time", "level", "event", "method", "status", "ms", "id", "path", "key", "model", "bytes",
        "audio_s",
    }  # fmt: skip
    assert line["key"] == "anna"
    assert key_file[1] not in json.dumps(command.lines)


@pytest.mark.parametrize("left", ["ben", "", "no key", None])
def test_revoked_key_is_refused_from_the_next_look_on(path, tmp_path, left):
    file = tmp_path / "keys"
    head = {"X-API-Key": keys.add(file, "anna")}
    keys.add(file, "ben")
    with services.client({"tones": path}, keys_file=str(file), look_s=0.05) as client:
        assert client.get("/v1/models", headers=head).status_code == 200
        if left is None:
            file.unlink()
        else:
            file.write_text(file.read_text().splitlines()[1] + "\n" if left == "ben" else left)
        assert until(lambda: client.get("/v1/models", headers=head).status_code == 401)


@pytest.mark.parametrize("text", ["", "anna", "anna 12", "# only a comment", "a {0}\na {0}"])
def test_bad_file_of_keys_is_refused(tmp_path, text):
    (tmp_path / "keys").write_text(text.format("0" * 64))
    with pytest.raises(UserError, match="keys: "):
        keys.read(tmp_path / "keys")


def test_command_makes_a_key_and_keeps_its_hash_alone(tmp_path, capsys):
    assert keys.main(["anna", "--keys", str(tmp_path / "keys")]) == 0
    key = capsys.readouterr().out.strip()
    assert key not in (tmp_path / "keys").read_text()
    assert keys.owner(key, keys.read(tmp_path / "keys")) == "anna"
    assert keys.main(["anna", "--keys", str(tmp_path / "keys")]) == 2


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        pytest.param(b"GET /healthz HT", b"", id="headers"),  # that never end
        pytest.param(
            b"POST /v1/recognize HTTP/1.1\r\nHost: a\r\nX-API-Key: %s\r\n"
            b"Content-Length: 9\r\n\r\nabc", b"408", id="body",
        ),
    ],
)  # fmt: skip
def test_slow_request_is_dropped(command, key_file, sent, answer):
    host, port = command.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(sent.replace(b"%s", key_file[1].encode()))
        received = b""
        while part := line.recv(4096):
            received += part
    assert received.split(b" ")[1:2] == ([answer] if answer else [])


def spoken(*parts: bytes) -> tuple[bytes, bool]:
    """What a connection answers to bytes that no application sees, and whether it is closed."""

    async def fed():
        line = SimpleNamespace(get_extra_info=lambda _: None, said=b"", closed=False)
        line.is_closing = lambda: line.closed
        line.close = lambda: setattr(line, "closed", True)
        line.write = lambda content: setattr(line, "said", line.said + content)
        config = uvicorn.Config(lambda: None, log_config=None, lifespan="off")
        connection = protocol.within(60)(config, ServerState(), {})
        connection.connection_made(line)
        for part in parts:
            if not line.closed:
                connection.data_received(part)
        connection.connection_lost(OSError())
        return line.said, line.closed

    return asyncio.run(fed())


@pytest.mark.parametrize(("count", "closed"), [(60, False), (70, True)])
def test_headers_that_grow_for_ever_are_dropped(count, closed):
    assert spoken(b"GET / HTTP/1.1\r\na: ", *[b"b" * 1000] * count) == (b"", closed)


@pytest.mark.parametrize("to", [b"websocket", b"h2c"])
@pytest.mark.parametrize("body", [b"Content-Length: 1", b"Transfer-Encoding: chunked"])
def test_upgrade_with_a_body_is_refused(to, body):
    # its body would be taken for the next request, or its connection never end
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s\r\n\r\n"
    said, closed = spoken(head % (to, body), b"1\r\na\r\n0\r\n\r\n")
    assert closed and said.startswith(b"HTTP/1.1 400 ")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]


def test_early_answer_reaches_who_is_still_sending(command, key_file):
    host, port = command.url.removeprefix("http://").split(":")
    head = b"POST /v1/recognize?model=nope HTTP/1.1\r\nHost: a\r\nX-API-Key: %s\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(head % key_file[1].encode() + b"Content-Length: 190000\r\n\r\n")
        for _ in range(190):
            line.sendall(bytes(1000))
            time.sleep(0.001)
        assert line.recv(4096).startswith(b"HTTP/1.1 404 ")
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = b""
        while part := line.recv(4096):
            received += part
    assert b"HTTP/1.1 200 " in received


@pytest.mark.parametrize(
    ("query", "status"),
    [("sample_rate=abc", 400), ("sample_rate=", 400), ("consent=maybe", 400), ("model=x", 404)],
)
def test_streams_that_cannot_be_are_refused_in_json(client, query, status):
    asked = client.websocket_connect(f"/v1/listen?{query}")
    with pytest.raises(WebSocketDenialResponse) as refused, asked:
        pass
    assert refused.value.status_code == status
    assert refused.value.json()["error"]


def test_live_sound_elsewhere_is_refused_in_json(client):
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/v1/models"):
        pass
    assert (refused.value.status_code, "/v1/listen" in refused.value.json()["error"]) == (404, True)


def test_limits_must_be_positive():
    with pytest.raises(UserError, match="--audio-s must be > 0"):
        Limits(audio_s=0)

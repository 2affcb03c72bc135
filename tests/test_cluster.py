"""The service on Ray: two replicas on one machine, by the command of the docs."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import importlib.util
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
import soundfile
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from audio_edge import Detector, Interpreter, audio
from audio_edge.errors import UserError
from audio_edge.serving import keys
from tests import services
from tests.conftest import LABELS, SAMPLE_RATE, tone

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra [ray]"),
    pytest.mark.xdist_group("cluster"),
    # Ray's own, where it is imported
    pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`"),
]
# `serve run` as it is, on a Ray without network, of two cores and little memory.
PRELUDE = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run behind a "&"
import ray
from ray import serve
from ray.serve.scripts import cli
ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=80 << 20,
         _node_ip_address="127.0.0.1")
serve.start(http_options={"port": int(sys.argv.pop(1))})
cli()
"""
SAID = np.concatenate([tone("silence", 0.5), tone("low", 0.15), tone("silence", 0.5)])
SAID = audio.to_int16(SAID).astype(np.float32) / 32768  # as a WAV holds it


def wav() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, SAID, SAMPLE_RATE, format="WAV")
    return file.getvalue()


class Cluster:
    """A client of two replicas."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.head = {"authorization": f"Bearer {key}"}
        self.client = httpx2.Client(base_url=url, headers=self.head, timeout=60)

    def recognized(self) -> httpx2.Response:
        return self.client.post("/v1/recognize", content=wav())

    def counted(self) -> dict[int, float]:
        """Process id -> recordings heard, of the replicas that looks at the counters met."""
        found = {}
        for _ in range(40):
            text = self.client.get("/metrics").text
            pid = re.search(r'audio_edge_replica_info\{pid="(\d+)"', text)
            if pid:
                lines = re.findall(r'audio_edge_requests_total\{.*recognize",status="200"\} (.*)',
                                   text)  # fmt: skip
                found[int(pid[1])] = float(lines[0]) if lines else 0.0
        return found


@contextlib.contextmanager
def running(*command: str, folder: Path) -> Iterator[str]:
    """The address of `serve` with this command line, until it has ended on Ctrl-C."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "token").write_text(64 * "0")  # of Ray, which would make one in the home directory
    env = {
        **os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "PYTHONPATH": str(services.ROOT),
    }  # fmt: skip
    with open(folder / "log", "w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE, str(port), *command],
            cwd=folder, env=env, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield f"http://127.0.0.1:{port}"
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0, (folder / "log").read_text()
        finally:
            process.terminate()  # takes the processes of Ray along
            process.wait(60)


@pytest.fixture(scope="module")
def model(carded, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cluster") / "tones.tflite"
    path.write_bytes(carded)
    return path


@pytest.fixture(scope="module")
def cluster(model) -> Iterator[Cluster]:
    key = keys.add(model.parent / "keys.txt", "anna")
    given = "models=tones.tflite keys=keys.txt body_bytes=100000 min_replicas=2 max_replicas=2"
    command = ["run", "audio_edge.serving.cluster:build", *given.split()]
    with running(*command, folder=model.parent) as url:
        found = Cluster(url, key)
        with found.client:
            until(lambda: len(replicas(found)) == 2, seconds=200)
            yield found


def replicas(cluster: Cluster) -> dict[int, float]:
    with contextlib.suppress(httpx2.HTTPError):  # not there yet
        return cluster.counted()
    return {}


def until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def test_both_replicas_answer_as_the_library_does(cluster, model):
    wanted = [dataclasses.asdict(item) for item in Detector(model).detect(SAID)]
    assert [item["label"] for item in wanted] == ["low"]
    before = cluster.counted()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: cluster.recognized(), range(40)))
    for answer in answers:
        assert (answer.status_code, answer.json()["detections"]) == (200, wanted)
    after = cluster.counted()
    assert sum(after.values()) == sum(before.values()) + 40
    assert all(after[pid] > before[pid] for pid in before)


def test_predict_gives_the_numbers_of_the_interpreter(cluster, model):
    clips = np.stack([tone(label, 0.1) for label in LABELS])
    answer = cluster.client.post("/v1/models/tones:predict", json={"instances": clips.tolist()})
    assert answer.json() == {"predictions": Interpreter(model)(clips).tolist()}


def test_live_streams_are_heard_each_by_one_replica(cluster, model):
    wanted = [dataclasses.asdict(item) for item in Detector(model).detect(SAID)]
    address = cluster.url.replace("http", "ws") + "/v1/listen?format=float32"
    with contextlib.ExitStack() as opened:
        streams = [
            opened.enter_context(connect(address, additional_headers=cluster.head))
            for _ in range(4)
        ]
        for stream in streams:
            assert json.loads(stream.recv())["labels"] == list(LABELS)
        for start in range(0, len(SAID), 1600):
            for stream in streams:
                stream.send(SAID[start : start + 1600].tobytes())
        for stream in streams:
            stream.send("end")
            assert [json.loads(message) for message in stream] == wanted
            assert stream.close_code == 1000


def test_limits_and_keys_hold_in_replicas(cluster):
    assert cluster.client.post("/v1/recognize", content=bytes(100_001)).status_code == 413
    assert httpx2.post(f"{cluster.url}/v1/recognize", content=wav()).status_code == 401
    address = cluster.url.replace("http", "ws") + "/v1/listen?model=nobody"
    with pytest.raises(InvalidStatus) as refused:  # noqa: SIM117
        with connect(address, additional_headers=cluster.head):
            pass
    assert refused.value.response.status_code == 404


def test_replica_that_dies_is_replaced_and_no_request_hangs(cluster):
    """A request of the dead replica is refused or cut off, a later one answered.

    A timeout would raise.
    """
    before = set(cluster.counted())
    victim = min(before)
    workers = children(victim)

    def status(_) -> int | str:
        try:
            return cluster.recognized().status_code
        except (httpx2.RemoteProtocolError, httpx2.ReadError):  # its answer had begun
            return "cut off"

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(status, number) for number in range(100)]
        asked[10].result()
        os.kill(victim, signal.SIGKILL)
        statuses = [item.result() for item in asked]
    assert set(statuses) <= {200, 500, 503, "cut off"}
    assert statuses.count("cut off") <= 4  # one of each client, those at work at the time
    assert statuses[-1] == 200
    assert statuses.count(200) >= 80
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    until(lambda: len(set(cluster.counted()) - {victim}) == 2)
    assert cluster.recognized().status_code == 200


def test_builder_takes_names_of_limits_and_no_others(model):
    from audio_edge.serving import cluster

    settings = cluster.Settings(models=f"a={model},b={model}", streams="3", workers="2")
    assert (settings.streams, settings.workers) == (3, 2)
    cluster.build(settings)
    with pytest.raises(ValueError, match="streems"):
        cluster.Settings(models=str(model), streems=3)
    with pytest.raises(UserError, match=r"nowhere\.tflite: cannot be read"):
        cluster.build(cluster.Settings(models="nowhere.tflite"))

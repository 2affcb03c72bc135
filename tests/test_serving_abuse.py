"""Nothing that a client sends makes the service fail: schemas, mutated recordings, odd requests.

`python -m tests.test_serving_abuse COUNT` sends more mutated recordings.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import requests
import schemathesis
import soundfile
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from audio_edge.review.queue import create
from audio_edge.review.terms import Terms
from audio_edge.serving.feed import Feeding
from tests import services
from tests.conftest import SAMPLE_RATE, tone
from tests.models_for_tests import CLIP_SAMPLES, carded, loudness_model

FORMATS = ("WAV", "FLAC", "OGG", "MP3", "AIFF", "AU")
LIMITS = {"work_timeout_s": 20.0, "audio_s": 20.0}


def model_path(folder: Path) -> str:
    path = folder / "loud.tflite"
    path.write_bytes(carded(loudness_model(), labels=("loud", "quiet")))
    return str(path)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    create(folder / "queue", Terms(("loud", "quiet"), consent="the testers"))
    feed = Feeding(str(folder / "queue"), control=0.5)
    with services.client({"loud": model_path(folder)}, limits=LIMITS, feed=feed) as found:
        yield found


def mutated(rng: np.random.Generator) -> bytes:
    """A short recording in some format with bytes changed, cut out, doubled or cut off."""
    file = io.BytesIO()
    form = FORMATS[rng.integers(len(FORMATS))]
    soundfile.write(file, tone("low", 0.2), SAMPLE_RATE, format=form)
    content = bytearray(file.getvalue())
    for _ in range(rng.integers(1, 20)):
        # half of the changes in the header, where they hurt most
        at = int(rng.integers(min(len(content), 80) if rng.integers(2) else len(content)))
        kind = rng.integers(5)
        if kind <= 1:
            content[at] ^= int(rng.integers(1, 256))
        elif kind == 2:
            content[at : at + 4] = rng.bytes(4)
        elif kind == 3:
            content[at:at] = content[at : at + int(rng.integers(200))]
        else:
            del content[at : at + int(rng.integers(1, 50))]
        if len(content) < 4:
            break
    if rng.integers(4) == 0:
        del content[int(rng.integers(len(content) + 1)) :]
    return bytes(content)


def statuses(client, count: int, first: int = 0) -> Counter[int]:
    """How the service answers so many mutated recordings."""
    found: Counter[int] = Counter()
    for number in range(first, first + count):
        content = mutated(np.random.default_rng(number))
        found[client.post("/v1/recognize", content=content).status_code] += 1
    return found


def test_mutated_recordings_are_read_or_refused(client):
    before = services.workers(client)
    found = statuses(client, 300)
    assert set(found) <= {200, 400, 413, 422}
    assert found[200] and found[422]
    assert services.workers(client) == before  # none died, none was added


def test_requests_that_fit_the_schema_find_no_failure(client):
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    operations = [item.ok() for item in schema.get_all_operations()]
    cases = st.one_of([operation.as_strategy() for operation in operations])
    asked: Counter[int] = Counter()

    @seed(1)
    @settings(
        max_examples=60, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases)
    def ask(case):
        wanted = case.as_transport_kwargs(base_url="http://testserver")
        sent = requests.Request(**wanted).prepare()
        answer = client.request(
            sent.method, sent.url, headers=dict(sent.headers), content=sent.body
        )  # fmt: skip
        asked[answer.status_code] += 1
        assert answer.status_code < 500, (sent.url, sent.body)
        assert answer.status_code == 200 or answer.json()["error"]

    ask()
    assert asked[200] and asked.total() >= 60


@pytest.mark.parametrize("value", ["1e999", "-1e999", "1" + "0" * 400, "NaN", "null", '""', "{}"])
def test_odd_numbers_are_refused(client, value):
    body = f'{{"instances": [[{",".join([value] * CLIP_SAMPLES)}]]}}'
    assert client.post("/v1/models/loud:predict", content=body).status_code == 400


def main(count: int) -> None:
    """Send so many mutated recordings, and tell what came of them."""
    with tempfile.TemporaryDirectory() as folder:
        models = {"loud": model_path(Path(folder))}
        with services.client(models, workers=2, limits=LIMITS) as client:
            while len(before := services.workers(client)) < 2:
                time.sleep(0.1)
            print(dict(statuses(client, count)), "the same workers:",
                  before == services.workers(client))  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""The service follows a registry: promoted, taken back, damaged, under requests that go on."""

from __future__ import annotations

import dataclasses
import logging
import os
import threading

import pytest

from audio_edge import registry
from audio_edge.card import attach, split
from audio_edge.errors import UserError
from audio_edge.serving import shelf
from tests import services
from tests.conftest import tone
from tests.services import recording, until

CONTENT = recording(tone("silence", 0.3), tone("low", 0.15), tone("silence", 0.3))


@pytest.fixture
def models(carded, tmp_path):
    """A registry of two versions of "mine", the first current; the second calls low high."""
    model, card = split(carded, source="tones")
    silence, low, high = card.labels
    other = attach(model, dataclasses.replace(card, labels=(silence, high, low)))
    root = tmp_path / "models"
    for number, content in enumerate((carded, other)):
        file = tmp_path / f"{number}.tflite"
        file.write_bytes(content)
        registry.add(root, "mine", file, lineage={}, added="")
    registry.promote(root, "mine", 1)
    return root


def test_folder_of_a_registry_stands_for_its_current_file_and_its_name(models):
    current = str(models / "mine" / "current" / "model.tflite")
    assert shelf.named([str(models / "mine")]) == {"mine": current}
    assert shelf.named([f"x={models / 'mine'}"]) == {"x": current}
    with pytest.raises(UserError, match="without a current version; promote one"):
        shelf.named([str(models)])


def test_promotion_and_rollback_are_taken_up_without_a_lost_request(models, caplog):
    caplog.set_level(logging.INFO, "audio_edge.serving")
    answers, stop = [], threading.Event()
    with services.client(shelf.named([str(models / "mine")]), workers=2, look_s=0.05) as client:

        def ask():
            while not stop.is_set():
                answers.append(client.post("/v1/recognize", content=CONTENT))

        def version():
            return answers[-1].json()["version"] if answers else 0

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            assert until(lambda: version() == 1)
            registry.promote(models, "mine", 2)
            assert until(lambda: version() == 2)
            registry.rollback(models, "mine")
            assert until(lambda: version() == 3)
            at_work = len(answers)
            damaged = models / "mine" / "2" / "model.tflite"
            damaged.chmod(0o644)
            damaged.write_bytes(damaged.read_bytes()[:-100])
            link = models / "mine" / "link"
            link.symlink_to("2")
            os.replace(link, models / "mine" / "current")
            assert until(lambda: "reload_failed" in caplog.messages)
            assert until(lambda: len(answers) > at_work + 20)  # and several looks
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert {answer.status_code for answer in answers} == {200}
    heard = {(item["version"], item["detections"][0]["label"]) for item in map(_json, answers)}
    assert heard == {(1, "low"), (2, "high"), (3, "low")}
    [failure] = [item for item in caplog.records if item.message == "reload_failed"]
    assert failure.facts["kept"] == 3 and "damaged" in failure.facts["error"]


def _json(answer):
    return answer.json()

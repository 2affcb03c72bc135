"""The loop of docs/loop.md: a deployed model, its mistakes, a review, and a better model."""

from unittest import mock

import pytest
import soundfile

from audio_edge import Interpreter, registry
from audio_edge.review.queue import Queue
from tests import tones
from tflite import convert
from training import quantize, retrain, review, train
from training import registry as registry_command

pytest.importorskip("cleanlab", reason="cleanlab is not installed: audio_edge[review]")
pytestmark = pytest.mark.xdist_group("loop")
WORDS = ("low", "mid", "high")
SIDES = ("learnt", "held_out")
# An accent that training never heard: every word a fifth higher.
RAISED = 1.5


def raised(word, seed):
    """A word in the accent, float64 [samples]."""
    with mock.patch.dict(tones.PITCHES, {word: RAISED * tones.PITCHES[word]}):
        return tones.say(word, seed)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A finished run, deployed, and clips of the accent, of speakers of their own."""
    folder = tmp_path_factory.mktemp("loop")
    tones.make(folder / "data", words=WORDS, speakers=16, takes=2)
    tones.config(folder)
    sets = {
        "data.root": folder / "data", "run.dir": folder / "run", "data.cache": folder / "cache",
        "data.unknown": "false", "data.silence": "false", "data.test_share": 0.3,
        "train.epochs": 24, "prune.sparsity": 0, "quantize.epochs": 2,
    }  # fmt: skip
    config = [str(folder / "tones.toml"), *(f"--set={key}={value}" for key, value in sets.items())]
    assert train.main(config) == 0
    assert quantize.main(config) == 0
    assert convert.main([str(folder / "run"), "--to", "int8"]) == 0
    for speaker in range(14):
        for number, word in enumerate(WORDS):
            path = folder / "served" / word / f"a{speaker}_nohash_0.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, raised(word, 5000 + 10 * speaker + number), tones.RATE)
    return folder


def mistakes(model, place):
    """How many of the served clips a file mishears."""
    heard = Interpreter(model)
    clips = [(path, soundfile.read(path, dtype="int16")[0]) for path in served(place)]
    return sum(heard.labels[int(heard(clip).argmax())] != path.parent.name for path, clip in clips)


def served(place):
    return sorted((place / "served").rglob("*.wav"))


def filled(place, folder, wrong=lambda number: False):
    """A queue of what was served, labelled by somebody who knows; `wrong` says of which not."""
    queue = str(folder / "queue")
    model = str(place / "run/tflite/model_int8.tflite")
    assert review.main([queue, "set", "--model", model, "--consent", "the testers"]) == 0
    everything = ["--margin", "1", "--control", "1"]
    assert review.main([queue, "find", model, str(place / "served"), *everything]) == 0
    opened = Queue(queue)
    truth = {
        soundfile.read(path, dtype="int16")[0].tobytes(): path.parent.name for path in served(place)
    }
    for number, item in enumerate(opened.next(999)):
        word = truth[soundfile.read(item.path, dtype="int16")[0].tobytes()]
        label = WORDS[(WORDS.index(word) + 1) % 3] if wrong(number) else word
        opened.decide(item.sha256, "label", label)
    return queue


@pytest.mark.timeout(600)
def test_mistakes_become_a_better_deployed_model(place, tmp_path, capsys):
    root, file = tmp_path / "registry", place / "run/tflite/model_int8.tflite"
    assert registry_command.main([str(root), "add", "tones", str(file), "--promote"]) == 0
    deployed = root / "tones/current/model.tflite"
    before = mistakes(deployed, place)
    assert before >= 10
    capsys.readouterr()
    queue = filled(place, tmp_path)
    # the time of so small a file, on a machine that does other things too, may double by chance
    given = [str(place / "run"), queue, "--registry", str(root), "--slower", "9"]
    assert retrain.main(given) == 0
    printed = capsys.readouterr().out
    assert "tones 1 is current" in printed and "\npromoted: it hears better" in printed
    assert registry.current(root, "tones") == 2
    assert mistakes(deployed, place) <= before / 2
    told = registry.find(root, "tones").lineage
    assert told["parent"] == 1 and told["verdict"]["promoted"]
    assert told["verdict"]["test"]["accuracy_a"] >= told["verdict"]["test"]["accuracy_b"]
    learnt, held_out = ({digest for digest, _ in told["reviewed"][side]} for side in SIDES)
    assert len(learnt | held_out) == 42 and not learnt & held_out
    assert registry_command.main([str(root), "rollback", "tones"]) == 0
    assert mistakes(deployed, place) == before

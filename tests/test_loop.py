"""The loop of docs/loop.md: a deployed model, its mistakes, a review, and a better model."""

import contextlib
import io

import pytest

from audio_edge import registry
from tests import accent, killed_retraining
from training import registry as registry_command
from training import retrain

pytest.importorskip("cleanlab", reason="cleanlab is not installed: audio_edge[review]")
pytestmark = pytest.mark.xdist_group("loop")
SIDES = ("learnt", "held_out")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A finished run, clips of an accent, and a queue with all of them."""
    folder = tmp_path_factory.mktemp("loop")
    accent.make(folder)
    accent.fill(folder, folder / "queue")
    return folder


@pytest.fixture(scope="module")
def printed(place):
    """What retraining says, of the run's file and its successor in place/registry."""
    root, file = str(place / "registry"), str(place / "run/tflite/model_int8.tflite")
    assert registry_command.main([root, "add", "tones", file, "--promote"]) == 0
    given = [str(place / "run"), str(place / "queue"), "--registry", root]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        options = ["--out", str(place / "new"), *killed_retraining.OPTIONS]
        assert retrain.main([*given, *options]) == 0
    return printed.getvalue()


@pytest.mark.timeout(600)
def test_mistakes_become_a_better_deployed_model(place, printed):
    root = place / "registry"
    assert "tones 1 is current" in printed and "\npromoted: it hears better" in printed
    assert registry.current(root, "tones") == 2
    before, after = (
        accent.mistakes(root / "tones" / version / "model.tflite", place)
        for version in ("1", "current")
    )
    assert before >= 10 and after <= before / 2
    told = registry.find(root, "tones").lineage
    assert told["parent"] == 1 and told["verdict"]["promoted"]
    assert told["verdict"]["test"]["accuracy_a"] >= told["verdict"]["test"]["accuracy_b"]
    learnt, held_out = ({digest for digest, _ in told["reviewed"][side]} for side in SIDES)
    assert len(learnt | held_out) == 42 and not learnt & held_out
    assert registry_command.main([str(root), "rollback", "tones"]) == 0
    assert accent.mistakes(root / "tones/current/model.tflite", place) == before


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("printed")
def test_killed_retraining_leaves_the_registry_whole_and_comes_to_the_same_files(place):
    wanted = killed_retraining.made(place / "new")
    assert len(wanted) == 4  # float, qat, and a file of each
    killed_retraining.kill(place, place / "queue", wanted, kills=2, times=(12.0, 0.5), seed=4)

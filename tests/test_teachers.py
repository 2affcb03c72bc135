"""Distillation: whom a run learns from, and that it does."""

import numpy as np
import pytest

from audio_edge import classifiers, files, frontends
from audio_edge.config import load_config
from audio_edge.errors import UserError
from audio_edge.run import Run
from audio_edge.teachers import Teachers
from tests import tones
from training.train import main

FEW = {"train.epochs": 1, "model.dropout": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers")
    tones.make(folder / "data")
    tones.config(folder)
    teacher = (folder / "tones.toml").read_text(encoding="utf-8")
    teacher = teacher.replace("[run]\n", f'[run]\ndir = "{folder / "teacher"}"\n')
    teacher = teacher.replace("epochs = 50", "epochs = 2")
    (folder / "teacher.toml").write_text(teacher, encoding="utf-8")
    return folder


def sets(folder, name, **keys):
    keys = {
        "data.root": folder / "data", "data.cache": folder / "cache", "run.dir": folder / name,
        **FEW, **keys,
    }  # fmt: skip
    return [f"{key}={value}" for key, value in keys.items()]


def trained(folder, name, **keys):
    """A float stage made by the command: its run and its weights."""
    given = sets(folder, name, **keys)
    arguments = [part for text in given for part in ("--set", text)]
    assert main([str(folder / "tones.toml"), *arguments]) == 0
    run = Run.create(load_config(folder / "tones.toml", given))
    return run, classifiers.load(run, "float").get_weights()


TAUGHT = {"distill.teachers": '["teacher.toml"]', "distill.teacher_seeds": "[3, 4]"}


def test_teachers_named_by_a_config_are_trained_first_and_change_what_is_learnt(folder, capsys):
    run, weights = trained(folder, "pupil", **TAUGHT)
    assert [teacher.dir for teacher in run.teachers()] == [
        folder / "teacher" / "seed3",
        folder / "teacher" / "seed4",
    ]
    assert all(teacher.record("float") for teacher in run.teachers())
    _, alone = trained(folder, "alone")
    assert np.abs(weights[0] - alone[0]).max() > 1e-4

    capsys.readouterr()
    again, same = trained(folder, "again", **TAUGHT)  # the teachers are there already
    assert "seed3" not in capsys.readouterr().out
    assert again.record("float") == run.record("float")
    for one, other in zip(weights, same, strict=True):
        np.testing.assert_array_equal(one, other)

    names = run.require("float")["outputs"]
    clips = np.random.default_rng(0).normal(scale=0.1, size=(2, 8000)).astype("float32")
    expected = []
    for teacher in run.teachers():
        network = classifiers.load(teacher, "float")
        powers = np.exp(network(frontends.load(teacher)(clips)).numpy() / 2.0)
        expected.append(powers / powers.sum(axis=1, keepdims=True))
    probs = Teachers(run.teachers(), names, temperature=2.0)(clips)
    np.testing.assert_allclose(probs, np.mean(expected, axis=0), atol=1e-6)
    with pytest.raises(UserError, match="tells other words apart"):
        Teachers(run.teachers(), names[::-1], temperature=2.0)


def fingerprint(folder, **keys):
    config = load_config(folder / "tones.toml", sets(folder, "none", **keys))
    return Run.create(config).fingerprint("float", "data")


def test_fingerprint_covers_the_teachers(folder):
    plain, taught = fingerprint(folder), fingerprint(folder, **TAUGHT)
    other = fingerprint(folder, **{**TAUGHT, "distill.teacher_seeds": "[3]"})
    assert len({plain, taught, other, fingerprint(folder, **TAUGHT, **{"distill.share": 0.5})}) == 4
    assert taught == fingerprint(folder, **TAUGHT)


def test_teachers_of_other_clips_are_refused(folder):
    """Else a teacher might have learnt from the clips that judge its pupil."""
    given = sets(folder, "other", **{"data.val_share": 0.3})
    config = load_config(folder / "tones.toml", given)
    files.write_json(folder / "other" / "config.json", config.to_dict())
    keys = {"distill.teachers": f'["{folder / "other"}"]'}
    with pytest.raises(UserError, match=r"learns from other clips: its \[data\] differs"):
        fingerprint(folder, **keys)
    with pytest.raises(UserError, match="not a run directory"):
        fingerprint(folder, **{"distill.teachers": '["nowhere"]'})


def test_teachers_have_no_teachers(folder):
    text = (folder / "teacher.toml").read_text(encoding="utf-8")
    (folder / "chain.toml").write_text(text + '\n[distill]\nteachers = ["x"]\n', encoding="utf-8")
    with pytest.raises(UserError, match="has teachers itself"):
        fingerprint(folder, **{"distill.teachers": '["chain.toml"]'})

"""Config: TOML in, frozen dataclasses inside, JSON out; every mistake names its key."""

import dataclasses
import json
from pathlib import Path

import pytest

from audio_edge.config import Config, from_dict, load_config, to_toml
from audio_edge.errors import UserError

CONFIGS = sorted((Path(__file__).parents[1] / "training" / "configs").glob("*.toml"))


def written(tmp_path, text):
    path = tmp_path / "c.toml"
    path.write_text(text)
    return path


def test_defaults_round_trip_through_json():
    assert from_dict(json.loads(json.dumps(Config().to_dict()))) == Config()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_load_and_round_trip(path):
    config = load_config(path)
    assert config.run.name == path.stem
    assert from_dict(config.to_dict()) == config


def test_set_beats_file_beats_environment(tmp_path, monkeypatch):
    path = written(tmp_path, "[data]\nclip_s = 2.0\n")
    monkeypatch.setenv("AUDIO_EDGE_DATA", "from_environment")
    assert load_config(path).data.root == "from_environment"
    assert load_config(path, ["data.root=given"]).data.root == "given"
    path.write_text('[data]\nroot = "from_file"\n')
    assert load_config(path).data.root == "from_file"
    assert load_config(path, ["data.root='set'", "train.epochs=3"]).data.root == "set"


def test_set_parses_toml_values(tmp_path):
    path = written(tmp_path, "")
    config = load_config(
        path, ['data.words=["a", "b"]', "data.silence=true", "train.learning_rate=1e-2"]
    )
    assert config.data.words == ("a", "b")
    assert config.data.silence is True
    assert config.train.learning_rate == 1e-2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[frontend]\nn_mel = 40", r"\[frontend\] unknown key 'n_mel'; did you mean 'n_mels'\?"),
        ("[frontent]\nn_mels = 40", r"unknown section \[frontent\]; did you mean 'frontend'\?"),
        ("[train]\nepochs = 'many'", "train.epochs must be int"),
        ("[train]\nepochs = true", "train.epochs must be int"),
        ("[train]\nlearning_rate = nan", "train.learning_rate must be a finite number"),
        ("[train]\nepochs = 0", "epochs and batch_size must be at least 1"),
        ("[data]\nwords = 'yes'", "data.words must be a list"),
        ("[data]\nwords = [1]", "data.words must be str"),
        ("[data]\nwords = ['a', 'a']", "words must not repeat"),
        ("[data]\nwords = ['silence']", "set silence = true instead"),
        ("[data]\nclip_s = 0.01", "clip_s must be"),
        ("[frontend]\nn_fft = 500", "n_fft must be a power of two"),
        ("[frontend]\nfmax = 9000.0", "at most half the sample rate, 8000 Hz"),
        ("[prune]\nsparsity = 1.0", r"sparsity must be in \[0, 1\)"),
        ("[detector]\nwindow_s = 0.05", "window_s at least hop_s"),
        (f"[train]\nlearning_rate = 1{'0' * 400}", "learning_rate must be a finite number.*401"),
        (f"[train]\nepochs = 1{'0' * 400}", "train.epochs must be below 2"),
        (f"[train]\nepochs = {'9' * 5000}", "c.toml: not valid TOML"),
        (f"a = {'[' * 3000}{']' * 3000}", "c.toml: not valid TOML"),
        ('[data]\nroot = "a\\u0000b"', "data.root must not hold a NUL character"),
        ("[frontend]\nn_fft = 1152921504606846976", "n_fft must be at most 65536"),
        ("train = 3", r"\[train\] must be a section"),
        ("[train", "not valid TOML"),
    ],
)
def test_bad_config_is_one_sentence(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        load_config(written(tmp_path, text))


@pytest.mark.parametrize("override", ["epochs=3", "train.epochs", "=3", "train.=3"])
def test_malformed_set_is_named(tmp_path, override):
    with pytest.raises(UserError, match="--set takes section.key=value"):
        load_config(written(tmp_path, ""), [override])


def test_set_of_an_endless_number_is_named(tmp_path):
    with pytest.raises(UserError, match="--set train.epochs: not a TOML value"):
        load_config(written(tmp_path, ""), [f"train.epochs={'9' * 5000}"])


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="none.toml: cannot be read"):
        load_config(tmp_path / "none.toml")


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().train.epochs = 3


def test_toml_that_is_written_reads_back_as_the_same_config(tmp_path):
    odd = 'ümlaut "quoted" \\ \x7f \t\n\x01 end'
    given = {
        "run": {"name": odd, "dir": "a b"},
        "data": {"words": ["ja", odd], "silence": True, "licence": odd},
        "augment": {"gain_db": [-3, 1e-7], "mix_share": 0.1 + 0.2},
        "train": {"learning_rate": 1e-300, "weight_decay": 1e22},
    }
    config = from_dict(given)
    path = tmp_path / "written.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert load_config(path) == config

"""The picture of the features of a recording, and the command that draws it."""

import numpy as np
import pytest
import soundfile

from tests.features_for_tests import signal
from training import features


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "noise.wav"
    soundfile.write(path, signal("noise"), 16000)
    return path


def pixels(path):
    from matplotlib import image

    return image.imread(path)


def test_draws_every_feature(recording, tmp_path, capsys):
    out = tmp_path / "all.png"
    assert features.main([str(recording), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    picture = pixels(out)
    assert picture.shape[1] == 1320
    assert len(np.unique(picture.reshape(-1, 4), axis=0)) > 1000  # shades, not a blank page


def test_one_feature_is_a_smaller_picture(recording, tmp_path):
    few, more = tmp_path / "few.png", tmp_path / "more.png"
    assert features.main([str(recording), "--out", str(few), "--features", "rms, zcr"]) == 0
    assert features.main([str(recording), "--out", str(more), "--features", "rms,zcr,mfcc"]) == 0
    assert pixels(few).shape[0] < pixels(more).shape[0]


def test_settings_come_from_the_config(recording, tmp_path):
    config, out = tmp_path / "c.toml", tmp_path / "a.png"
    config.write_text("[frontend]\nn_mels = 20\n")
    again = tmp_path / "b.png"
    assert features.main([str(recording), "--config", str(config), "--out", str(out)]) == 0
    assert features.main([str(recording), "--out", str(again)]) == 0
    assert out.read_bytes() != again.read_bytes()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--features", "logmell"], "features must be of"),
        (["--features", "rms,rms"], "must not repeat"),
        (["--out", "noise.wav"], "exists already; give --force"),
        (["--out", "a.picture"], "end the name in .png"),
        (["--set", "frontend.n_mels=8"], "give --config"),
    ],
)
def test_bad_input_is_one_sentence(recording, tmp_path, monkeypatch, capsys, given, said):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert features.main([str(recording), *given]) == 2
    assert said in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_recording_shorter_than_a_frame_is_one_sentence(tmp_path, capsys):
    path = tmp_path / "short.wav"
    soundfile.write(path, np.zeros(100), 16000)
    assert features.main([str(path), "--out", str(tmp_path / "a.png")]) == 2
    assert "shorter than one frame" in capsys.readouterr().err

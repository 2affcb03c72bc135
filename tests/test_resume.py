"""A run killed at random moments resumes to the very weights of an uninterrupted one."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import tf_keras as keras

from audio_edge import files, saver, train
from audio_edge.config import Config
from audio_edge.errors import UserError
from audio_edge.frontend import LogMel
from audio_edge.run import TRAINED, Run
from tests import tones
from training.train import main

ROOT = Path(__file__).parents[1]


def arguments(folder, name):
    keys = {
        "data.root": folder / "data",
        "run.dir": folder / name,
        "data.cache": folder / "cache",
        "train.epochs": 8,
        "model.dropout": 0.3,
        "augment.time_masks": 2,
    }
    sets = [f"--set={key}={value}" for key, value in keys.items()]
    return [str(folder / "tones.toml"), *sets]


def weights(path):
    found = {}

    def keep(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(keep)
    return found


@pytest.mark.timeout(280)
def test_killed_three_times_gives_the_same_weights(tmp_path):
    tones.make(tmp_path / "data")
    tones.config(tmp_path)
    silent = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "training.train", *arguments(tmp_path, "killed")]
    assert main(arguments(tmp_path, "whole")) == 0
    moments = random.Random(7)
    for epochs in (1, 3, 5):
        process = subprocess.Popen(command, **silent)
        checkpoint = tmp_path / "killed/float/checkpoints" / f"ckpt-{epochs}.index"
        deadline = time.monotonic() + 60
        while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.3))  # anywhere in a later epoch, or amid a checkpoint
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "killed/float/stage.json").exists(), "was never interrupted"
    assert main(arguments(tmp_path, "killed")) == 0
    whole = weights(tmp_path / "whole/float/weights.h5")
    killed = weights(tmp_path / "killed/float/weights.h5")
    assert whole.keys() == killed.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, killed[name], err_msg=name)


def saved_in(folder):
    model = keras.Sequential([keras.layers.Dense(2, input_shape=(3,), kernel_initializer="ones")])
    optimizer = keras.optimizers.AdamW()
    optimizer.build(model.trainable_variables)
    keeper = train.Keeper(optimizer, model.trainable_variables, model.weights, patience=0)
    return saver.Saver(folder, LogMel(), model, optimizer, keeper)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("checkpoints/ckpt-2.index", b"junk"),
        ("checkpoints/ckpt-2.data-00000-of-00001", b""),
        ("history.json", b""),
        ("history.json", b"{}"),
        ("history.json", b"[{}]"),
    ],
)
def test_damaged_checkpoint_is_one_sentence_that_tells_what_to_delete(tmp_path, name, content):
    whole = saved_in(tmp_path)
    for epoch in range(2):
        whole.on_epoch_end(epoch, {"loss": 1.0})
    assert saved_in(tmp_path).restore() == 2
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=r"ckpt-2: cannot be resumed .*delete .*/checkpoints to"):
        saved_in(tmp_path).restore()


def test_stage_begun_anew_unfinishes_those_made_from_it(tmp_path):
    run = Run(tmp_path, Config())
    for stage in TRAINED:
        files.write_json(run.stage(stage) / "stage.json", {})
    saver.drop_foreign_checkpoint(run, "pruned", "new")
    left = [stage for stage in TRAINED if (run.stage(stage) / "stage.json").exists()]
    assert left == ["float", "narrow"]

"""Several replicas learn what one learns from the same batches."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from audio_edge import distribution, files, train
from audio_edge.config import load_config
from audio_edge.datasets import pipeline
from audio_edge.errors import UserError
from audio_edge.run import Run
from tests import tones

pytestmark = pytest.mark.xdist_group("distribution")

ROOT = Path(__file__).parents[1]
# Two CPU devices stand for two GPUs.
TWO_DEVICES = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from training.train import main
sys.exit(main(sys.argv[1:]))
"""
KEYS = {
    "train.epochs": 2, "train.batch_size": 19, "train.learning_rate": 1e-3, "train.ema": 0.5,
    "train.patience": 5, "model.width": 6, "model.depth": 1, "model.dropout": 0.3,
    "augment.mix_share": 0.5, "augment.reverb_share": 0.3, "augment.eq_share": 0.3,
}  # fmt: skip


def ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    found = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return found


def overrides(folder, name):
    keys = {
        "data.root": folder / "data", "data.cache": folder / "cache", "run.dir": folder / name,
        **KEYS,
    }  # fmt: skip
    return [f"{key}={value}" for key, value in keys.items()]


def begin(folder, name, how, *, code=(), **environment):
    sets = [f"--set={override}" for override in overrides(folder, name)]
    command = [*(code or ("-m", "training.train")), str(folder / "tones.toml"), *sets]
    return subprocess.Popen(
        [sys.executable, *command, "--distribute", how], cwd=ROOT, text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of runs: by one device, by two, and by two workers."""
    folder = tmp_path_factory.mktemp("distribution")
    tones.make(folder / "data", speakers=10, takes=1)
    tones.config(folder)
    config = load_config(folder / "tones.toml", overrides(folder, "one"))
    material = train.load_material(config, pipeline.index(config))  # decodes for all
    addresses = [f"127.0.0.1:{port}" for port in ports(2)]
    workers = [
        begin(
            folder, f"worker{index}", "multiworker",
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            ),
        )
        for index in range(2)
    ]  # fmt: skip
    devices = begin(folder, "devices", "mirrored", code=("-c", TWO_DEVICES))
    processes = [*workers, devices]
    try:
        train.train(Run.create(config), material)
        for process in processes:
            out, err = process.communicate(timeout=250)
            assert process.returncode == 0, err
            assert out.startswith("2 replicas\n")
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return folder


def weights(run):
    found = {}
    with h5py.File(run / "float" / "weights.h5") as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]} if hasattr(item, "shape") else {})
        )
    return found


@pytest.mark.parametrize("name", ["worker0", "devices"])
def test_two_replicas_have_the_losses_of_one_with_the_same_batches(made, name):
    one, two = (
        files.read_json(made / run / "float" / "history.json", list) for run in ("one", name)
    )
    assert len(one) == len(two) == 2
    for alone, shared in zip(one, two, strict=True):
        for key, value in alone.items():
            assert shared[key] == pytest.approx(value, abs=1e-4), key


@pytest.mark.parametrize("name", ["worker0", "devices"])
def test_what_two_replicas_save_is_what_one_saves(made, name):
    one, two = weights(made / "one"), weights(made / name)
    assert one.keys() == two.keys()
    for key, value in one.items():
        # Adam's first steps have the size of the rate, 1e-3, whatever the gradient: where that is
        # nothing but rounding, a weight may go either way
        assert np.abs(two[key] - value).mean() < 2e-4, key
    records = [files.read_json(made / run / "float" / "stage.json") for run in ("one", name)]
    assert records[0].keys() == records[1].keys()
    assert records[0]["fingerprint"] == records[1]["fingerprint"]


def test_lessons_are_refused_with_several_devices(made):
    code = TWO_DEVICES.replace("sys.argv[1:]", "[*sys.argv[1:], '--set=train.lessons=2']")
    process = begin(made, "lessons", "mirrored", code=("-c", code))
    _, err = process.communicate(timeout=250)
    assert process.returncode == 2
    assert "[train] lessons need a single device; leave --distribute out" in err


def test_only_the_chief_writes(made):
    assert (made / "worker0").exists()
    assert not (made / "worker1").exists()


def config(**changes):
    value = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}}
    return json.dumps({**value, **changes})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "TF_CONFIG is not set"),
        ("{", "not valid JSON"),
        ("[]", "'cluster' must hold the machines"),
        (config(cluster={}), "'cluster' must hold the machines"),
        (config(cluster={"ps": ["a:1"]}), "not 'ps'"),
        (config(cluster={"worker": "a:1"}), "'cluster.worker' must be a list"),
        (config(cluster={"worker": ["a"]}), "host:port, not 'a'"),
        (config(cluster={"worker": ["a:99999"]}), "host:port, not 'a:99999'"),
        (config(cluster={"worker": [7]}), "host:port, not 7"),
        (config(cluster={"chief": ["a:1", "b:1"]}), "must be one machine"),
        (config(task={}), "'task.type' must be one of those"),
        (config(task={"type": ["worker"]}), "'task.type' must be one of those"),
        (config(task={"type": "worker", "index": 2}), "'task.index' must be 0 to 1"),
        (config(task={"type": "worker", "index": True}), "'task.index' must be 0 to 1"),
    ],
)
def test_malformed_tf_config_is_one_sentence_with_an_example(text, fault):
    with pytest.raises(UserError, match=r'"task": \{"type": "worker", "index": 0\}') as caught:
        distribution.check(text)
    assert fault in str(caught.value)


def test_well_formed_tf_config_is_taken():
    distribution.check(config())
    distribution.check(
        config(cluster={"chief": ["a:1"], "worker": ["b:1"]}, task={"type": "chief", "index": 0})
    )

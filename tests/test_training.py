"""Choices of the training loop: the mean of the weights, mixed targets, and when it ends."""

import numpy as np
import pytest
import tf_keras as keras

from audio_edge import batches, classifiers, compress, export, files, frontends, train
from audio_edge.config import load_config
from audio_edge.datasets import pipeline
from audio_edge.errors import UserError
from audio_edge.learner import Learner
from audio_edge.run import Run
from tests import tones

pytestmark = pytest.mark.xdist_group("training")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    tones.make(folder / "data")
    tones.config(folder)
    return folder


def trained(folder, name, callbacks=(), **keys):
    """The weights of a float stage of two epochs, and its record."""
    keys = {
        "data.root": folder / "data", "run.dir": folder / name, "data.cache": folder / "cache",
        "train.epochs": 2, "model.dropout": 0.0, **keys,
    }  # fmt: skip
    sets = [f"{key}={value}" for key, value in keys.items()]
    run = Run.create(load_config(folder / "tones.toml", sets))
    material = train.load_material(run.config, pipeline.index(run.config))
    record = train.train(run, material, callbacks=callbacks)
    return compress.load(run, "float").get_weights(), record, run


@pytest.fixture(scope="module")
def plain(folder):
    """The weights of a training without a mean."""
    return trained(folder, "plain")[0]


def test_mean_of_the_weights_is_between_start_and_end(folder, plain):
    kept, record, run = trained(folder, "mean", **{"train.ema": 0.9})
    start = classifiers.build(run.config, 5).get_weights()
    moved, off = np.abs(plain[0] - start[0]).sum(), np.abs(plain[0] - kept[0]).sum()  # the stem
    assert 0.01 * moved < off < moved
    history = files.read_json(run.stage("float") / "history.json", list)
    assert record["val_accuracy"] == pytest.approx(history[-1]["val_accuracy"], abs=1e-5)


def test_a_decay_of_almost_nothing_keeps_the_last_weights(folder, plain):
    kept, _, _ = trained(folder, "last", **{"train.ema": 1e-6})
    for end, mean in zip(plain, kept, strict=True):
        np.testing.assert_allclose(mean, end, atol=1e-4)


def test_all_augmentations_together_train(folder):
    keys = {
        "augment.mix_share": 0.5, "augment.reverb_share": 0.3, "augment.eq_share": 0.3,
        "train.ema": 0.99,
    }  # fmt: skip
    weights, record, _ = trained(folder, "all", **keys)
    assert np.isfinite(record["loss"])
    assert all(np.isfinite(weight).all() for weight in weights)


def test_parts_of_clips_teach_a_network_that_takes_whole_ones(folder):
    """Also where the network looks for its greatest frame, and the stages after it."""
    keys = {
        "train.crop_s": 0.3, "augment.mix_share": 0.5, "model.name": "yamnet", "model.width": 8,
        "model.depth": 2, "model.padding": "causal", "channels.remove": 0.5, "channels.epochs": 1,
        "quantize.epochs": 1, "prune.sparsity": 0.5, "prune.epochs": 1, "cluster.number": 4,
        "cluster.epochs": 1,
    }  # fmt: skip
    _, record, run = trained(folder, "parts", **keys)
    assert 0.0 <= record["val_accuracy"] <= 1.0
    config, index = run.config, pipeline.index(run.config)
    material = train.load_material(config, index)
    made = classifiers.build(config, len(index.outputs.names))
    learner = Learner(config, frontends.build(config), made, material)
    clips, numbers, step = next(iter(batches.training(material, config, 0, 1, 1)))
    heard, *_ = learner.augmented(clips, numbers, step)
    assert (clips.shape[1], heard.shape[1]) == (8000, 4800)
    assert run.stages == ("float", "narrow", "pruned", "clustered", "qat")
    for stage in run.stages[1:]:
        assert np.isfinite(compress.MAKERS[stage](run, material)["loss"])
    model = export.compose(run, "qat")
    assert model.input_shape == (None, 8000)
    assert np.isfinite(model(np.zeros((1, 8000), np.float32))).all()


def test_network_that_wants_whole_clips_says_so(folder):
    keys = {"train.crop_s": 0.2, "model.name": "tc_resnet", "model.padding": "causal"}
    with pytest.raises(UserError, match=r"\[train\] crop_s: tc_resnet takes whole clips only"):
        trained(folder, "asks for all", **keys)


@pytest.mark.parametrize("crop", [0.6, 0.01])
def test_crop_that_does_not_fit_is_refused(folder, crop):
    sets = [f"train.crop_s={crop}", f"data.root={folder}"]
    with pytest.raises(UserError, match=r"crop_s must be at most clip_s and hold"):
        load_config(folder / "tones.toml", sets)


def test_probabilities_of_words_apart_add_up_to_unknown(folder):
    keys = {"data.words": '["low", "mid"]', "train.epochs": 1}  # high and sweep are unknown
    _, record, run = trained(folder, "apart", **keys)
    assert record["labels"] == ["low", "mid", "silence", "unknown"]
    assert record["outputs"] == ["low", "mid", "silence", "high", "sweep"]
    clips = np.random.default_rng(0).normal(scale=0.1, size=(3, 8000)).astype("float32")
    probs = export.compose(run, "float")(clips).numpy()
    logits = compress.load(run, "float")(frontends.load(run)(clips)).numpy()
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert probs.shape == (3, 4)
    np.testing.assert_allclose(probs[:, 3], softmax[:, 3] + softmax[:, 4], atol=1e-6)


STOPPING = {
    "train.epochs": 12, "train.patience": 2, "train.warmup_epochs": 0.0, "train.batch_size": 32,
    "train.learning_rate": 0.1, "train.ema": 0.3,
}  # fmt: skip


class Interrupted(Exception):
    pass


class Interrupting(keras.callbacks.Callback):
    """Ends training in the middle of the third epoch that it sees."""

    def on_train_begin(self, logs=None):
        self.epochs = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs += 1

    def on_train_batch_end(self, batch, logs=None):
        if self.epochs == 3:
            raise Interrupted


def test_stops_when_the_selection_loss_falls_no_more_and_keeps_the_best_epoch(folder):
    kept, record, run = trained(folder, "stopped", **STOPPING)
    history = files.read_json(run.stage("float") / "history.json", list)
    losses = [epoch["val_loss"] for epoch in history]
    best = int(np.argmin(losses)) + 1
    assert len(losses) == best + 2 < 12, "never stopped"
    assert record["kept_epoch"] == best
    assert record["epochs"] == len(losses)
    assert record["val_loss"] == pytest.approx(min(losses), abs=1e-6)
    # what is kept is what was judged: the loss of the saved weights is the one of the record
    material = train.load_material(run.config, pipeline.index(run.config))
    classifier = compress.load(run, "float")
    learner = train.Learner(run.config, frontends.load(run), classifier, material)
    learner.compile()
    found = learner.evaluate(batches.selection(material.val, 1), verbose=0)
    assert found[0] == pytest.approx(min(losses), abs=1e-5)

    with pytest.raises(Interrupted):
        trained(folder, "resumed", [Interrupting()], **STOPPING)
    for _ in range(len(losses)):  # a part does two whole epochs, until the last has none to do
        try:
            again, resumed, _ = trained(folder, "resumed", [Interrupting()], **STOPPING)
        except Interrupted:
            continue
        break
    assert resumed == record
    for one, other in zip(kept, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_patience_that_does_not_end_keeps_the_best_of_all_epochs(folder):
    keys = {"train.epochs": 4, "train.patience": 4, "train.learning_rate": 0.1}
    _, record, run = trained(folder, "patient", **keys)
    history = files.read_json(run.stage("float") / "history.json", list)
    assert len(history) == record["epochs"] == 4
    losses = [epoch["val_loss"] for epoch in history]
    assert record["kept_epoch"] == int(np.argmin(losses)) + 1

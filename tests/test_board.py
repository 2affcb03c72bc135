"""TensorBoard's files: what is in them, and that writing them changes nothing."""

import dataclasses
import io

import matplotlib.image
import numpy as np
import pytest
import soundfile
import tensorflow as tf

from audio_edge import compress, feature_plots, files, train
from audio_edge.config import FrontendConfig, load_config
from audio_edge.datasets import pipeline
from audio_edge.errors import UserError
from audio_edge.run import Run
from tests import tones

pytestmark = pytest.mark.xdist_group("board")


def trained(folder, name, *, mode):
    sets = [
        f"data.root={folder / 'data'}", f"run.dir={folder / name}", f"run.tensorboard={mode}",
        f"data.cache={folder / 'cache'}", "train.epochs=3", "train.ema=0.5",
        "augment.mix_share=0.5",
    ]  # fmt: skip
    run = Run.create(load_config(folder / "tones.toml", sets))
    material = train.load_material(run.config, pipeline.index(run.config))
    train.train(run, material)
    return run, material


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    tones.make(folder / "data")
    tones.config(folder)
    return [trained(folder, mode, mode=mode) for mode in ("full", "scalars")]


def events(folder):
    """tag -> [(step, tensor)] of the one event file in a folder."""
    (path,) = folder.glob("events.*")
    found = {}
    for event in tf.compat.v1.train.summary_iterator(str(path)):
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, tf.make_ndarray(value.tensor)))
    return found


def test_scalars_are_the_history_and_nothing_else_is_written_by_default(runs):
    run, _ = runs[1]
    folder = run.dir / "tensorboard" / "float"
    assert sorted(path.name for path in folder.iterdir()) == ["train", "validation"]
    history = files.read_json(run.stage("float") / "history.json", list)
    for part, prefix in (("train", ""), ("validation", "val_")):
        found = [float(value) for _, value in events(folder / part)["epoch_loss"]]
        assert found == pytest.approx([epoch[f"{prefix}loss"] for epoch in history], rel=1e-6)


def test_full_board_holds_clips_confusion_and_weights_of_each_epoch(runs):
    run, material = runs[0]
    found = events(run.dir / "tensorboard" / "float" / "detail")
    wanted = {"clip_0", "clip_1", "clip_2", "clip_3", "clips", "confusion", "stem/kernel"}
    assert wanted <= found.keys()
    assert all([step for step, _ in found[tag]] == [0, 1, 2] for tag in wanted)
    for tag in ("clip_0", "clip_3"):
        wave, rate = soundfile.read(io.BytesIO(found[tag][-1][1][0, 0]))
        assert (len(wave), rate) == (run.config.data.clip_samples, run.config.data.sample_rate)
        assert 0 < np.abs(wave).max() <= 1
    for tag in ("clips", "confusion"):
        width, height, png = found[tag][-1][1]
        image = matplotlib.image.imread(io.BytesIO(png))
        assert image.shape[:2] == (int(height), int(width))
        assert image.std() > 0.05
    # the mean of the weights is kept, and is what the last histogram counts
    kernel = compress.load(run, "float").get_layer("stem").get_weights()[0]
    histogram = found["stem/kernel"][-1][1]
    assert histogram[:, 2].sum() == kernel.size
    assert histogram[0, 0] == pytest.approx(kernel.min(), rel=1e-6)
    assert histogram[-1, 1] == pytest.approx(kernel.max(), rel=1e-6)


def test_confusion_has_the_accuracy_of_the_same_epoch(runs, monkeypatch):
    run, material = runs[0]
    drawn = []
    monkeypatch.setattr("audio_edge.plots.confusion_figure", lambda m, _: drawn.append(m) or None)
    monkeypatch.setattr("audio_edge.canvas.pixels", lambda _: np.zeros([2, 2, 3], np.uint8))
    again = Run(run.dir.with_name("again"), run.config)
    train.train(again, material)
    history = files.read_json(again.stage("float") / "history.json", list)
    right = [np.trace(matrix) / matrix.sum() for matrix in drawn]
    assert right == pytest.approx([epoch["val_accuracy"] for epoch in history], abs=1e-6)
    assert drawn[-1].sum(axis=1).tolist() == np.bincount(material.val.labels).tolist()


def test_what_is_shown_does_not_change_what_is_learnt(runs):
    full, scalars = (compress.load(run, "float").get_weights() for run, _ in runs)
    for one, other in zip(full, scalars, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_shown_may_change_in_a_finished_run(runs):
    run, material = runs[0]
    other = dataclasses.replace(run.config.run, tensorboard="scalars")
    again = Run.create(dataclasses.replace(run.config, run=other))
    assert again.up_to_date("float", material.index.fingerprint())


def test_clips_are_drawn_with_the_lowest_band_at_the_bottom():
    found = np.zeros((1, 98, 40), np.float32)
    found[:, :, :3] = 1.0
    figure = feature_plots.clips_figure(found, ["low"], FrontendConfig(), 16000)
    (axes, *_) = figure.axes
    (image,) = axes.get_images()
    assert image.origin == "lower"
    assert image.get_array()[:3].min() == 1.0 > image.get_array()[3:].max()
    assert image.get_extent()[:2] == [0.01, 0.99]  # the middle of a frame of 480, 98 hops of 160


def test_unknown_way_of_showing_is_refused(tmp_path):
    with pytest.raises(UserError, match="tensorboard must be 'scalars' or 'full'"):
        load_config(tones.config(tmp_path), ["run.tensorboard=all"])

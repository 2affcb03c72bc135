"""The front end of a run: fitted to the clips, learnt with the float stage, kept by the others."""

import numpy as np
import pytest
import tensorflow as tf

from audio_edge import classifiers, compress, frontends, train
from audio_edge.config import Config, FrontendConfig, load_config
from audio_edge.datasets import pipeline
from audio_edge.errors import UserError
from audio_edge.run import Run
from tests import tones

FEW = {"train.epochs": 2, "prune.epochs": 1, "quantize.epochs": 1, "augment.noise_share": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frontends")
    tones.make(folder / "data")
    tones.config(folder)
    return folder


def config(folder, name, **keys):
    keys = {"data.root": folder / "data", "run.dir": folder / name, **FEW, **keys}
    sets = [f"{key}={value}" for key, value in keys.items()]
    return load_config(folder / "tones.toml", [*sets, f"data.cache={folder / 'cache'}"])


def run_and_material(folder, name, **keys):
    run = Run.create(config(folder, name, **keys))
    return run, train.load_material(run.config, pipeline.index(run.config))


@pytest.fixture(scope="module")
def learnt(folder):
    """A run whose front end is PCEN, normalised, and what its float stage learnt."""
    keys = {"frontend.features": '["pcen"]', "frontend.normalize": "true"}
    run, material = run_and_material(folder, "pcen", **keys)
    train.train(run, material)
    return run, material


def test_fitted_bands_have_mean_0_and_deviation_1(rng):
    clips = np.int16(rng.normal(scale=3000, size=(300, 16000)))  # more than one batch
    made = Config(frontend=FrontendConfig(features=("logmel", "zcr", "rms"), normalize=True))
    front = frontends.build(made)
    frontends.fit(front, clips)
    bands = front(clips / np.float32(32768)).numpy()
    np.testing.assert_allclose(bands.mean(axis=(0, 1, 3)), 0, atol=1e-3)  # float32 sums
    np.testing.assert_allclose(bands.std(axis=(0, 1, 3)), 1, atol=1e-3)


def test_a_band_that_never_changes_keeps_its_scale():
    front = frontends.build(Config(frontend=FrontendConfig(normalize=True)))
    frontends.fit(front, np.zeros((3, 16000), np.int16))
    np.testing.assert_array_equal(front(tf.zeros([1, 16000])), 0)
    assert np.abs(front(tf.random.stateless_uniform([1, 16000], [1, 2]))).max() < 100


def test_normalisation_does_not_depend_on_other_clips(rng):
    front = frontends.build(Config(frontend=FrontendConfig(normalize=True)))
    frontends.fit(front, np.int16(rng.normal(scale=3000, size=(20, 16000))))
    batch = np.float32(rng.normal(scale=[[0.01], [0.5]], size=(2, 16000)))
    np.testing.assert_allclose(front(batch)[:1], front(batch[:1]), atol=1e-5)  # float32 sums


def test_what_pcen_learns_is_saved_and_loaded(learnt):
    run, _ = learnt
    front = frontends.load(run)
    start = frontends.build(run.config)
    assert np.abs(front.log_gain - start.log_gain).max() > 1e-4
    assert np.abs(front.mean).max() > 1e-3
    assert not front.trainable_variables
    assert (run.stage("float") / "frontend.npz").is_file()


def test_later_stages_keep_the_front_end(learnt):
    run, material = learnt
    before = [weight.copy() for weight in frontends.load(run).get_weights()]
    compress.prune(run, material)
    compress.quantize_aware(run, material)
    after = frontends.load(run).get_weights()
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert not (run.stage("qat") / "frontend.npz").exists()


def test_missing_front_end_is_one_sentence(learnt):
    run, _ = learnt
    path = run.stage("float") / "frontend.npz"
    kept = path.read_bytes()
    try:
        for content in (None, b"", b"PK\x03\x04 nothing", kept[: len(kept) // 2]):
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_bytes(content)
            with pytest.raises(UserError, match="frontend.npz: cannot be loaded .* run again"):
                frontends.load(run)
    finally:
        path.write_bytes(kept)


def test_log_mel_alone_saves_nothing(folder):
    run, material = run_and_material(folder, "logmel")
    train.train(run, material)
    assert not (run.stage("float") / "frontend.npz").exists()
    assert not frontends.load(run).weights


def test_training_with_either_form_learns_the_same(folder):
    # 2e-4 between the forms moves the weights no more than another order of float32 sums does
    losses = []
    for form in ("rfft", "factored"):
        run, material = run_and_material(folder, form, **{"train.epochs": 3})
        train.setup(run.config)
        classifier = classifiers.build(run.config, len(material.index.labels))
        front = frontends.build(run.config, dft=form)
        record = train.fit(run, "float", front, classifier, material, epochs=3, learning_rate=1e-2)
        losses.append(record["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=0.01)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, (np.log(1e-6), 8.0)),
        ({"features": ("pcen",)}, (0.0, 8.0)),
        ({"features": ("centroid", "rms"), "normalize": True}, (-6.0, 6.0)),
    ],
)
def test_quantised_inputs_have_a_fixed_range(keys, expected):
    assert frontends.limits(Config(frontend=FrontendConfig(**keys))) == pytest.approx(expected)


def test_features_in_their_own_units_need_normalising():
    with pytest.raises(UserError, match="need normalize = true"):
        Config(frontend=FrontendConfig(features=("logmel", "centroid")))


def test_features_that_do_not_fit_the_rate_are_one_sentence():
    keys = {"features": ("contrast",), "contrast_bands": 9, "normalize": True}
    with pytest.raises(UserError, match=r"^\[frontend\] .*contrast_bands"):
        frontends.build(Config(frontend=FrontendConfig(**keys)))

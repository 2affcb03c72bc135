"""Lessons without teachers: what an epoch hears, written down once and shared."""

import dataclasses

import numpy as np
import pytest

from audio_edge import batches, classifiers, compress, frontends, lessons, train
from audio_edge.config import load_config
from audio_edge.datasets import pipeline
from audio_edge.learner import Learner
from audio_edge.run import Run
from tests import tones

pytestmark = pytest.mark.xdist_group("lessons")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lessons")
    tones.make(folder / "data")
    tones.config(folder)
    return folder


def opened(folder, name, **keys):
    keys = {
        "data.root": folder / "data", "run.dir": folder / name, "data.cache": folder / "cache",
        "train.epochs": 3, "train.lessons": 2, "prune.sparsity": 0, "quantize.epochs": 4,
        **keys,
    }  # fmt: skip
    run = Run.create(load_config(folder / "tones.toml", [f"{k}={v}" for k, v in keys.items()]))
    return run, train.load_material(run.config, pipeline.index(run.config))


def kept(folder):
    return sorted((folder / "cache" / "lessons").rglob("*.npz"))


def test_a_lesson_is_what_an_epoch_hears(folder):
    run, material = opened(folder, "heard", **{"augment.mix_share": 0.5})
    front = frontends.build(run.config)
    classifier = classifiers.build(run.config, len(material.index.outputs.names))
    paths = lessons.prepare(run, front, classifier, material, epochs=9, teachers=None, runs=())
    steps = batches.per_epoch(material, run.config)
    learner = Learner(run.config, front, classifier, material)
    for epoch, path in enumerate(paths):
        heard = [
            (front(learner.augmented(*batch)[0]), *learner.augmented(*batch)[1:2], batch[1])
            for batch in batches.training(material, run.config, epoch, epoch + 1, steps)
        ]
        features, targets, numbers = (np.concatenate(part) for part in zip(*heard, strict=True))
        with np.load(path) as lesson:
            # float16 of values of up to 16 is right to half of 2 ** -7
            np.testing.assert_allclose(lesson["features"], features, atol=2**-8 + 1e-3)
            np.testing.assert_allclose(lesson["targets"], targets, atol=1e-6)
            np.testing.assert_array_equal(lesson["numbers"], numbers)
    assert len(paths) == 2


def test_stages_and_seeds_share_them(folder):
    before = set(kept(folder))
    run, material = opened(folder, "one")
    record = train.train(run, material)
    made = sorted(set(kept(folder)) - before)
    assert [path.name for path in made] == ["000.npz", "001.npz"]
    stamps = [path.stat().st_mtime_ns for path in made]
    compress.quantize_aware(run, material)
    other, heard = opened(folder, "two", **{"run.seed": 7})
    same = dataclasses.replace(heard, index=material.index, train=material.train)
    train.train(other, same)  # of a folder the seed decides the split too
    assert sorted(set(kept(folder)) - before) == made
    assert [path.stat().st_mtime_ns for path in made] == stamps
    assert np.isfinite(record["loss"])


def test_no_more_are_made_than_there_are_epochs(folder):
    before = set(kept(folder))
    run, material = opened(folder, "few", **{"train.lessons": 50, "augment.speed": 0.05})
    train.train(run, material)
    assert len(set(kept(folder)) - before) == 3


def test_another_augmentation_has_others(folder):
    run, material = opened(folder, "same")
    front = frontends.build(run.config)
    classifier = classifiers.build(run.config, len(material.index.outputs.names))

    def paths(run):
        return lessons.prepare(run, front, classifier, material, epochs=1, teachers=None, runs=())

    first = paths(run)
    assert paths(run) == first
    louder = dataclasses.replace(run.config.augment, gain_db=(0.0, 3.0))
    changed = Run.create(dataclasses.replace(run.config, augment=louder))
    assert paths(changed)[0].parent != first[0].parent


def test_every_epoch_has_an_order_of_its_own_and_the_seed_decides_it(folder):
    run, material = opened(folder, "order")
    front = frontends.build(run.config)
    classifier = classifiers.build(run.config, len(material.index.outputs.names))
    paths = lessons.prepare(run, front, classifier, material, epochs=2, teachers=None, runs=())
    steps = batches.per_epoch(material, run.config)

    def numbers(config, epoch):
        given = lessons.training(paths, config, epoch, epoch + 1, steps)
        return np.concatenate([batch[2] for batch in given.as_numpy_iterator()])

    first = numbers(run.config, 0)
    np.testing.assert_array_equal(numbers(run.config, 0), first)
    assert (numbers(run.config, 2) != first).any()  # the same lesson again
    np.testing.assert_array_equal(np.sort(numbers(run.config, 2)), np.sort(first))
    seeded = dataclasses.replace(run.config, run=dataclasses.replace(run.config.run, seed=3))
    assert (numbers(seeded, 0) != first).any()

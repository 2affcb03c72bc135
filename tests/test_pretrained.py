"""Weights from a published file: the network computes what the file computes."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from audio_edge import classifiers, compress, pretrained, tflite_file, train
from audio_edge.card import read_card
from audio_edge.config import load_config
from audio_edge.datasets import pipeline
from audio_edge.errors import UserError
from audio_edge.export import convert
from audio_edge.models import MODELS
from audio_edge.run import Run
from tests import tones

SHAPE = (64, 16, 1)
YAMNET = Path(__file__).parents[2] / "shared" / "peers" / "yamnet.tflite"


def network(*, width=4, depth=3, seed=0):
    return MODELS["yamnet"](SHAPE, 3, width=width, depth=depth, padding="valid", seed=seed)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A network with the statistics of some training, and its file."""
    model, rng = network(seed=7), np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            sizes = [len(weight) for weight in layer.get_weights()]
            low = [0.5, -1.0, -1.0, 0.5]
            layer.set_weights([rng.uniform(a, 1.5, n) for a, n in zip(low, sizes, strict=True)])
    path = tmp_path_factory.mktemp("published") / "tagger.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return model, path


def features():
    return np.random.default_rng(1).normal(size=(16, *SHAPE)).astype(np.float32)


def body(model):
    """Up to the mean: the last layer is not taken over."""
    return keras.Model(model.input, model.get_layer("pool").output)


@pytest.mark.parametrize("training", [False, True])
def test_started_network_computes_what_the_file_does(published, training):
    model, path = published
    fresh = network()
    assert pretrained.start(fresh, str(path), features(), frozen=False) == 7
    expected = body(model)(features(), training=False)
    # training: each batch normalisation uses the very batch that its statistics are from
    np.testing.assert_allclose(body(fresh)(features(), training=training), expected, atol=1e-4)


def test_layers_of_other_shapes_are_where_it_ends(published):
    _, path = published
    deeper = network(depth=5)
    untouched = deeper.get_layer("layer4_mix").get_weights()[0].copy()
    assert pretrained.start(deeper, str(path), features(), frozen=True) == 7
    np.testing.assert_array_equal(deeper.get_layer("layer4_mix").get_weights()[0], untouched)
    learn = {layer.name for layer in deeper.layers if layer.weights and layer.trainable}
    assert "layer3_look" in learn
    assert "layer2_mix" not in learn
    assert "layer2_mix_bn" not in learn


def test_a_file_of_another_network_is_refused(published):
    _, path = published
    with pytest.raises(UserError, match="its first convolution, 3x3x1x4, is not that of yamnet"):
        pretrained.start(network(width=5), str(path), features(), frozen=False)


def test_quantised_constants_are_given_as_what_they_stand_for():
    stored = np.array([[1, -2], [3, 4]], np.int8)
    tensor = tflite_file.Tensor(
        "kernel", "INT8", (2, 2), 1, stored.view(np.uint8).ravel(), 0, (0.5, 2.0), 1
    )
    np.testing.assert_array_equal(tensor.values(), [[0.5, -4.0], [1.5, 8.0]])


def test_card_says_where_the_weights_are_from(published, tmp_path):
    """A run that starts from them, with the features of another shape than the file's."""
    _, path = published
    tones.make(tmp_path / "data")
    tones.config(tmp_path)
    keys = {
        "data.root": tmp_path / "data", "run.dir": tmp_path / "run",
        "data.cache": tmp_path / "cache", "model.name": "yamnet", "model.width": 4,
        "model.depth": 3, "model.weights": path, "model.weights_licence": "MIT, someone",
        "model.frozen": "true", "train.epochs": 1, "channels.remove": 0.5, "channels.epochs": 1,
        "channels.only": '["layer2*"]', "prune.sparsity": 0.0, "quantize.epochs": 1,
    }  # fmt: skip
    sets = [f"{key}={value}" for key, value in keys.items()]
    run = Run.create(load_config(tmp_path / "tones.toml", sets))
    material = train.load_material(run.config, pipeline.index(run.config))
    train.train(run, material)
    kept = classifiers.load(run, "float").get_layer("layer1_mix").get_weights()[0]
    given = pretrained.convolutions(str(path))[4][1]
    np.testing.assert_array_equal(kept, given)

    compress.narrow(run, material)
    compress.quantize_aware(run, material)
    narrow, quantised = compress.load(run, "narrow"), compress.load(run, "qat")
    assert narrow.get_layer("layer2_mix").filters == 8  # of 16
    norm = classifiers.load(run, "float").get_layer("layer0_mix_bn").get_weights()
    for name, model in (("layer0_mix", narrow), ("quant_layer0_mix", quantised)):
        kernels = [w for w in model.get_layer(name).get_weights() if w.shape == (1, 1, 4, 8)]
        np.testing.assert_array_equal(kernels[0], pretrained.convolutions(str(path))[2][1])
        wrapped = model.get_layer(f"{name}_bn")
        for one, other in zip(norm, getattr(wrapped, "layer", wrapped).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    head = classifiers.load(run, "narrow").get_layer("logits").get_weights()[1]
    assert not np.array_equal(head, classifiers.load(run, "float").get_layer("logits").bias)

    card = read_card(convert(run, "float"))
    assert card.licences == ("CC0-1.0", "MIT, someone")
    assert card.provenance["initial_weights"]["file"] == "tagger.tflite"
    assert card.provenance["initial_weights"]["convolutions"] == 7
    assert str(tmp_path) not in str(card.to_dict())


@pytest.mark.skipif(not YAMNET.exists(), reason="yamnet.tflite is not here")
def test_yamnet_is_taken_over_whole():
    model = MODELS["yamnet"]((400, 64, 1), 10, width=32, depth=13, padding="valid")
    clips = np.random.default_rng(0).normal(size=(2, 400, 64, 1)).astype(np.float32)
    assert pretrained.start(model, str(YAMNET), clips, frozen=False) == 27

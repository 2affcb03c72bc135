"""Which layers tfmot quantises, and how it treats those of the models that it does not know."""

from __future__ import annotations

from typing import Any

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from audio_edge.models.gated_scan import GatedScan
from audio_edge.models.mean import Mean
from audio_edge.models.peak import Peak

_UNKNOWN = (Mean, keras.layers.Multiply)


@keras.utils.register_keras_serializable(package="audio_edge")
class OutputRange(tfmot.quantization.keras.QuantizeConfig):
    """For layers without weights: int8 output, its range a moving average over the batches.

    Args:
        rounds_itself: The layer knows the ranges of all it computes; nothing is left to do.
    """

    def __init__(self, rounds_itself: bool = False):
        self.rounds_itself = rounds_itself

    def get_weights_and_quantizers(self, layer: keras.layers.Layer) -> list[Any]:
        """None."""
        return []

    def get_activations_and_quantizers(self, layer: keras.layers.Layer) -> list[Any]:
        """None."""
        return []

    def set_quantize_weights(self, layer: keras.layers.Layer, quantize_weights: list[Any]) -> None:
        """Nothing to set."""
        del layer, quantize_weights  # AutoGraph takes the docstring away and wants something left

    def set_quantize_activations(
        self, layer: keras.layers.Layer, quantize_activations: list[Any]
    ) -> None:
        """Nothing to set."""
        del layer, quantize_activations

    def get_output_quantizers(self, layer: keras.layers.Layer) -> list[Any]:
        """The one quantiser of the output, as tfmot has it for sums."""
        if self.rounds_itself:
            return []
        average = tfmot.quantization.keras.quantizers.MovingAverageQuantizer
        return [average(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {"rounds_itself": self.rounds_itself}


def annotate(classifier: keras.Model) -> keras.Model:
    """The classifier, sharing its weights, with every layer marked for `quantize_apply`."""
    return keras.models.clone_model(classifier, clone_function=_annotated)


def _annotated(layer: keras.layers.Layer) -> keras.layers.Layer:
    config = OutputRange() if isinstance(layer, _UNKNOWN) else None
    if isinstance(layer, Peak):  # as tfmot has it for maxima: one of the numbers that came in
        config = OutputRange(rounds_itself=True)
    if isinstance(layer, GatedScan):
        layer = GatedScan.from_config({**layer.get_config(), "rounded": True})
        config = OutputRange(rounds_itself=True)
    return tfmot.quantization.keras.quantize_annotate_layer(layer, config)

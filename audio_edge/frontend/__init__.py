"""Front ends: Keras layers from raw PCM to features, which convert to builtin ops."""

from audio_edge.frontend.logmel import LogMel

__all__ = ["LogMel"]

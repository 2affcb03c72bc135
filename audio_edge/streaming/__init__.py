"""A trained model of clips as one of a stream: a packet of samples and its state in, both out."""

from audio_edge.streaming.file import concrete, in_order
from audio_edge.streaming.walk import Streaming, to_streaming

__all__ = ["Streaming", "concrete", "in_order", "to_streaming"]

"""Front ends: Keras layers from raw PCM to features, which convert to builtin ops."""

from audio_edge.frontend.base import Frontend
from audio_edge.frontend.chroma import Chroma
from audio_edge.frontend.contrast import SpectralContrast
from audio_edge.frontend.features import LAYERS, Features, build
from audio_edge.frontend.level import RMS, ZeroCrossingRate
from audio_edge.frontend.logmel import LogMel
from audio_edge.frontend.mfcc import MFCC
from audio_edge.frontend.pcen import PCEN
from audio_edge.frontend.shape import (
    SpectralBandwidth,
    SpectralCentroid,
    SpectralFlatness,
    SpectralRolloff,
)
from audio_edge.frontend.waveform import Waveform

__all__ = [
    "LAYERS", "MFCC", "PCEN", "RMS", "Chroma", "Features", "Frontend", "LogMel",
    "SpectralBandwidth", "SpectralCentroid", "SpectralContrast", "SpectralFlatness",
    "SpectralRolloff", "Waveform", "ZeroCrossingRate", "build",
]  # fmt: skip

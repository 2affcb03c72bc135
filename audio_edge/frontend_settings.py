"""The `[frontend]` section: which features, over which frames, and what each is made of."""

from __future__ import annotations

from dataclasses import dataclass

from audio_edge.section import Section

FEATURES = (
    "logmel", "mfcc", "pcen", "zcr", "rms", "centroid", "bandwidth", "rolloff", "flatness",
    "contrast", "chroma", "waveform",
)  # fmt: skip


@dataclass(frozen=True)
class FrontendConfig(Section):
    """The features, over frames of `frame_length` samples every `hop_length` samples.

    `features` are stacked along the bands in the order given. `n_fft` is the length of the Fourier
    transform; `n_mels` bands lie between `fmin` and `fmax` in Hz (fmax 0 means half the sample
    rate), on the `mel_scale` "htk", filters of peak 1, or "slaney", filters of area 1. They hold
    the magnitudes to the power of `exponent`, 2 or 1; `log_floor` is added to them.
    `normalize` takes each band's mean over the training clips away and divides by its deviation,
    fixed once training begins.

    MFCC: `n_mfcc` coefficients, liftered by `lifter` (0 is off), followed by `deltas` orders of
    differences (0 to 2). PCEN: `pcen_gain`, `pcen_bias`, `pcen_power` and `pcen_time_s`, where
    training starts from. Others: `n_chroma` pitch classes, `rolloff` as a share of the magnitude,
    `contrast_bands` octaves above 200 Hz.
    """

    features: tuple[str, ...] = ("logmel",)
    frame_length: int = 480
    hop_length: int = 160
    n_fft: int = 512
    n_mels: int = 40
    fmin: float = 20.0
    fmax: float = 0.0
    mel_scale: str = "htk"
    exponent: int = 2
    log_floor: float = 1e-6
    normalize: bool = False
    n_mfcc: int = 13
    lifter: int = 0
    deltas: int = 0
    pcen_gain: float = 0.98
    pcen_bias: float = 2.0
    pcen_power: float = 0.5
    pcen_time_s: float = 0.4
    n_chroma: int = 12
    rolloff: float = 0.85
    contrast_bands: int = 6

    def __post_init__(self) -> None:
        require = self.require
        object.__setattr__(self, "features", tuple(self.features))
        unknown = [name for name in self.features if name not in FEATURES]
        rule = f"features must be of {', '.join(FEATURES)}"
        require(bool(self.features) and not unknown, rule, features=list(self.features))
        once = len(set(self.features)) == len(self.features)
        require(once, "features must not repeat", features=list(self.features))
        require(self.frame_length >= 16, "frame_length must be at least 16 samples")
        require(0 < self.hop_length <= self.frame_length, "hop_length must be in [1, frame_length]")
        fits = self.n_fft >= self.frame_length and self.n_fft & (self.n_fft - 1) == 0
        require(fits, "n_fft must be a power of two and at least frame_length")
        require(self.n_fft <= 1 << 16, "n_fft must be at most 65536")
        require(self.n_mels >= 1, "n_mels must be at least 1")
        known = self.mel_scale in ("htk", "slaney")
        require(known, "mel_scale must be 'htk' or 'slaney'", mel_scale=self.mel_scale)
        require(self.exponent in (1, 2), "exponent must be 1 or 2")
        require(self.log_floor > 0, "log_floor must be > 0")
        rising = self.fmax == 0 or self.fmax > self.fmin
        require(self.fmin >= 0 and rising, "fmin must be >= 0 and below fmax")
        mfcc = "mfcc" not in self.features or self.n_mfcc <= self.n_mels
        require(self.n_mfcc >= 1 and mfcc, "n_mfcc must be in [1, n_mels]")
        require(self.lifter >= 0, "lifter must be >= 0")
        require(0 <= self.deltas <= 2, "deltas must be 0, 1 or 2")
        require(0 < self.pcen_gain <= 1, "pcen_gain must be in (0, 1]")
        require(self.pcen_bias > 0, "pcen_bias must be > 0")
        require(0 < self.pcen_power <= 1, "pcen_power must be in (0, 1]")
        require(self.pcen_time_s > 0, "pcen_time_s must be > 0")
        require(self.n_chroma >= 1, "n_chroma must be at least 1")
        require(0 < self.rolloff < 1, "rolloff must be in (0, 1)")
        require(self.contrast_bands >= 1, "contrast_bands must be at least 1")

    def frames(self, clip_samples: int) -> int:
        """Frames in a clip: 1 + (clip_samples - frame_length) // hop_length."""
        return 1 + (clip_samples - self.frame_length) // self.hop_length

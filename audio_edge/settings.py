"""The settings of a run: one frozen dataclass a section, each checked when it is made.

A broken rule is a `UserError` that shows the keys which the rule names.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from audio_edge.compression_settings import (
    ChannelsConfig,
    ClusterConfig,
    PruneConfig,
    QuantizeConfig,
)
from audio_edge.data_settings import DataConfig
from audio_edge.frontend_settings import FrontendConfig
from audio_edge.section import Section

_SETTLED = (("logmel",), ("pcen",), ("waveform",))  # a classifier takes them as they are


@dataclass(frozen=True)
class RunConfig(Section):
    """Where a run lives and its seed. `dir` defaults to runs/<name>.

    `tensorboard`: "scalars" draws the curves of every stage for TensorBoard; "full" adds, about ten
    times a stage, clips as training hears and sees them, confusions and histograms of the weights.
    `dft` is the form of the front end's transform in the files that training.run writes: "factored"
    is the fastest, "compact" the smallest, some 100 kB smaller at an n_fft of 512.
    """

    name: str = "run"
    dir: str = ""
    seed: int = 0
    tensorboard: str = "scalars"
    dft: str = "factored"

    def __post_init__(self) -> None:
        self.require(bool(self.name) and "/" not in self.name, "name must be a plain word")
        self.require(0 <= self.seed < 2**31, "seed must be in [0, 2^31)")
        known = self.tensorboard in ("scalars", "full")
        self.require(known, "tensorboard must be 'scalars' or 'full'")
        self.require(self.dft in ("factored", "compact"), "dft must be 'factored' or 'compact'")
        if not self.dir:
            object.__setattr__(self, "dir", f"runs/{self.name}")


@dataclass(frozen=True)
class AugmentConfig(Section):
    """Random changes to training clips, each drawn statelessly from (seed, step).

    `shift_s`: up to this many seconds either way. `speed`: faster or slower by up to this share,
    pitch and pace together. `gain_db`: drawn from the interval. `noise_share` of the clips get
    background noise at `snr_db` (interval); with `made_noise` it may also be one made up, such as
    pink noise or hum, beside those recorded. `zero_share` of the clips of silence made for training
    are digital zero, the others noise. `reverb_share` of the clips sound as in a room whose
    sound falls by 60 dB in `reverb_s` seconds (interval), `eq_share` go through an equaliser of up
    to `eq_db` either way. `mix_share` of the clips are mixed with another of the batch, labels too,
    in shares of Beta(mix_alpha, mix_alpha) of what is heard (between-class learning);
    `mixup_share` of the others in shares of the samples (mixup). SpecAugment hides `time_masks`
    bands of up to `time_width` frames and `freq_masks` of up to `freq_width` mel bands.
    """

    shift_s: float = 0.1
    speed: float = 0.1
    gain_db: tuple[float, float] = (-12.0, 6.0)
    noise_share: float = 0.7
    snr_db: tuple[float, float] = (0.0, 30.0)
    made_noise: bool = True
    zero_share: float = 0.1
    reverb_share: float = 0.0
    reverb_s: tuple[float, float] = (0.1, 0.5)
    eq_share: float = 0.0
    eq_db: float = 6.0
    mix_share: float = 0.0
    mixup_share: float = 0.0
    mix_alpha: float = 0.4
    time_masks: int = 1
    time_width: int = 20
    freq_masks: int = 1
    freq_width: int = 6

    def __post_init__(self) -> None:
        self.require(self.shift_s >= 0, "shift_s must be >= 0")
        self.require(0 <= self.speed < 0.5, "speed must be in [0, 0.5)")
        for kind in ("noise", "zero", "reverb", "eq", "mix", "mixup"):
            share = getattr(self, f"{kind}_share")
            self.require(0 <= share <= 1, f"{kind}_share must be in [0, 1]")
        self.require(self.mix_alpha > 0, "mix_alpha must be > 0")
        self.require(self.eq_db >= 0, "eq_db must be >= 0")
        for name in ("gain_db", "snr_db", "reverb_s"):
            ends = getattr(self, name)
            self.require(len(ends) == 2 and ends[0] <= ends[1], f"{name} must be [low, high]")
        in_room = min(self.reverb_s) > 0 and max(self.reverb_s) <= 5
        self.require(in_room, "reverb_s must be in (0, 5] seconds")
        masks = (self.time_masks, self.time_width, self.freq_masks, self.freq_width)
        self.require(min(masks) >= 0, "masks and widths must be >= 0", masks=masks)


@dataclass(frozen=True)
class ModelConfig(Section):
    """The classifier: a name in `audio_edge.models.MODELS` with its width and depth.

    It starts from the convolutions of the `.tflite` file `weights`, in order, as far as their
    shapes agree; `frozen` ones do not learn, unless they lose channels: then they learn to do
    without. `weights_licence` says whose they are, in the card.
    """

    name: str = "ds_cnn"
    width: int = 64
    depth: int = 4
    dropout: float = 0.2
    padding: str = "causal"
    weights: str = ""
    weights_licence: str = ""
    frozen: bool = False

    def __post_init__(self) -> None:
        require = self.require
        require(bool(self.weights) or not self.frozen, "frozen = true needs weights")
        require(self.width >= 1 and self.depth >= 1, "width and depth must be at least 1")
        require(0 <= self.dropout < 1, "dropout must be in [0, 1)")
        known = self.padding in ("valid", "causal")
        require(known, "padding in time must be 'valid' or 'causal'")


@dataclass(frozen=True)
class TrainConfig(Section):
    """The float stage: Adam, warm-up then cosine to zero.

    With `ema` the weights that are judged and kept are the exponential mean over the steps, of that
    decay. With `patience` the float stage stops when the loss on the selection clips has not fallen
    for that many epochs, and keeps the epoch where it was least; 0 trains all epochs and keeps the
    last. With `crop_s` each step hears so many seconds of each clip, the louder of two places drawn
    at random: fewer in less time, as sound events take them. 0 is the whole clip; files and the
    selection clips always have that.

    With `lessons` the clips of so many epochs are augmented, pass the front end and are shown to
    teachers once; they are kept in `data.cache` and come again and again, with other masks and in
    another order, for every seed. On a CPU a step takes about two thirds of the time then, and
    of large teachers only so many epochs are asked.
    """

    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 2e-3
    warmup_epochs: float = 2.0
    weight_decay: float = 1e-4
    label_smoothing: float = 0.05
    ema: float = 0.0
    patience: int = 0
    mixed_precision: bool = False
    crop_s: float = 0.0
    lessons: int = 0

    def __post_init__(self) -> None:
        require = self.require
        require(min(self.epochs, self.batch_size) >= 1, "epochs and batch_size must be at least 1")
        require(self.learning_rate > 0, "learning_rate must be > 0")
        least = min(self.warmup_epochs, self.weight_decay)
        require(least >= 0, "warmup_epochs and weight_decay must be >= 0")
        require(0 <= self.label_smoothing < 1, "label_smoothing must be in [0, 1)")
        require(0 <= self.ema < 1, "ema must be in [0, 1)")
        require(self.patience >= 0, "patience must be >= 0 epochs")
        require(self.crop_s >= 0, "crop_s must be >= 0 seconds")
        require(0 <= self.lessons <= 1000, "lessons must be 0 to 1000 epochs")


@dataclass(frozen=True)
class DistillConfig(Section):
    """Learning from larger networks, as Hinton et al. (2015) do: every stage takes part.

    `teachers` are finished runs, or configs (`.toml`, looked for beside this one too): of a config,
    the float stage is trained first, once for each of `teacher_seeds`, in its own run.dir, from the
    same recordings. Their mean probabilities of each augmented clip, at `temperature`, have
    `share` of the loss. `teacher_set` overrides keys of those configs, as `--set` does.
    """

    teachers: tuple[str, ...] = ()
    teacher_seeds: tuple[int, ...] = (0,)
    teacher_set: tuple[str, ...] = ()
    share: float = 0.8
    temperature: float = 2.0

    def __post_init__(self) -> None:
        self.require(0 < self.share <= 1, "share must be in (0, 1]")
        self.require(self.temperature >= 1, "temperature must be at least 1")
        seeds = self.teacher_seeds
        distinct = len(set(seeds)) == len(seeds) >= 1 and min(seeds) >= 0
        self.require(distinct, "teacher_seeds must be one or more distinct seeds")


@dataclass(frozen=True)
class EncoderConfig(Section):
    """A published network that hears in the place of `[frontend]`, for runs that teach others.

    `path` is a `.tflite`, `.onnx` or `.ort` file from PCM at the sample rate of `[data]` to
    embeddings; it stays as it is, with `pad_s` of silence on either side of each clip. It is too
    large for a device, so that such a run has a float stage and no file. `licence` says whose it
    is, in the cards of those that it teaches.
    """

    path: str = ""
    pad_s: float = 0.0
    licence: str = ""

    def __post_init__(self) -> None:
        self.require(0 <= self.pad_s <= 10, "pad_s must be in [0, 10] seconds")

    def require_none(self) -> None:
        """Raise where a file for devices is asked for, and there is an encoder."""
        rule = "path only serves training.train and the configs that [distill] teachers names"
        self.require(not self.path, rule)


@dataclass(frozen=True)
class DetectorConfig(Section):
    """How probabilities become detections.

    One window every `hop_s`; the mean over `window_s` must reach `threshold`; then nothing is
    reported for `refractory_s`.
    """

    hop_s: float = 0.1
    window_s: float = 0.3
    threshold: float = 0.6
    refractory_s: float = 0.8

    def __post_init__(self) -> None:
        ordered = 0 < self.hop_s <= self.window_s
        self.require(ordered, "hop_s must be > 0 and window_s at least hop_s")
        self.require(0 < self.threshold < 1, "threshold must be in (0, 1)")
        self.require(self.refractory_s >= 0, "refractory_s must be >= 0")


@dataclass(frozen=True)
class Config:
    """Every section, each with its defaults."""

    run: RunConfig = field(default_factory=RunConfig)
    data: DataConfig = field(default_factory=DataConfig)
    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    channels: ChannelsConfig = field(default_factory=ChannelsConfig)
    prune: PruneConfig = field(default_factory=PruneConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    quantize: QuantizeConfig = field(default_factory=QuantizeConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)

    def __post_init__(self) -> None:
        clip, frame = self.data.clip_samples, self.frontend.frame_length
        rule = "clip_s must hold at least one frame of the front end"
        self.data.require(clip >= frame, rule, clip_samples=clip, frame_length=frame)
        crop = self.train.crop_s
        rule = "crop_s must be at most clip_s and hold at least one frame of the front end"
        holds = self.crop_samples >= frame and crop <= self.data.clip_s
        sizes = {"clip_s": self.data.clip_s, "frame_length": frame}
        self.train.require(holds, rule, crop_s=crop, **sizes)
        half = self.data.sample_rate / 2
        rule = f"must be at most half the sample rate, {half:g} Hz"
        self.frontend.require(self.frontend.fmax <= half, f"fmax {rule}")
        rule = f"must be below half the sample rate, {half:g} Hz"
        self.frontend.require(self.frontend.fmin < half, f"fmin {rule}")
        settled = self.frontend.normalize or self.frontend.features in _SETTLED
        rule = "features other than one of logmel, pcen or waveform need normalize = true"
        self.frontend.require(settled, rule, features=list(self.frontend.features))
        rule = "prune.pattern '2:4' does not outlast clustering; leave one of them out"
        alone = not (self.prune.sparsity and self.prune.pattern and self.cluster.number)
        self.cluster.require(alone, rule, number=self.cluster.number)

    @property
    def crop_samples(self) -> int:
        """Samples of a clip that a training step hears."""
        return round(self.train.crop_s * self.data.sample_rate) or self.data.clip_samples

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts and lists, ready for JSON."""
        return {
            section: {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in keys.items()
            }
            for section, keys in dataclasses.asdict(self).items()
        }

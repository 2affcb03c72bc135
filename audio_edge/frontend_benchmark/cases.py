"""Which front ends are set side by side, each as the content of a .tflite file."""

from __future__ import annotations

import dataclasses
from typing import Any

import tf_keras as keras

from audio_edge import frontend, lowering
from audio_edge.config import FrontendConfig
from audio_edge.frontend_benchmark.accuracy import RATE

FORMS = ("rfft", "dense", "factored", "compact")  # the first is the graph of tf.signal
GROWTH_FORMS = ("rfft", "factored", "compact")
STACK = ("logmel", "zcr", "contrast")


@dataclasses.dataclass(frozen=True)
class Case:
    """A front end to convert. `axis` and `value` say what differs from the default, if anything."""

    config: FrontendConfig
    form: str | None
    sample_rate: int = RATE
    clip_s: float = 1.0
    axis: str | None = None
    value: float | None = None

    def facts(self) -> dict[str, Any]:
        """What its row begins with."""
        if self.axis is None:
            return {"feature": "+".join(self.config.features), "form": self.form}
        names = ("frame_length", "hop_length", "n_fft", "n_mels")
        settings = {name: getattr(self.config, name) for name in names}
        where = {"axis": self.axis, "value": self.value, "form": self.form}
        return {**where, "sample_rate": self.sample_rate, "clip_s": self.clip_s, **settings}

    def layer(self) -> frontend.Frontend:
        """The front end as a layer."""
        dft = self.form or "rfft"
        return frontend.build(self.config, sample_rate=self.sample_rate, dft=dft)

    def convert(self) -> bytes:
        """The front end as the content of a .tflite file, for one clip of `clip_s`."""
        waveform = keras.Input([round(self.clip_s * self.sample_rate)], name="waveform")
        return lowering.to_flatbuffer(keras.Model(waveform, self.layer()(waveform)))


def cases(*, quick: bool = False) -> list[Case]:
    """Every feature in the forms that concern it, and a stack; `quick` takes log-mel alone."""
    made = [Case(FrontendConfig(), form) for form in FORMS]
    if quick:
        return made
    for name, layer in frontend.LAYERS.items():
        if name != "logmel":
            forms = (None,) if layer.reads == "frames" else ("rfft", "factored")
            made += [Case(FrontendConfig(features=(name,)), form) for form in forms]
    return made + [Case(FrontendConfig(features=STACK), form) for form in ("rfft", "factored")]


def growth() -> list[Case]:
    """Log-mel with one setting changed, or at another sample rate with frames of as many ms."""
    default = FrontendConfig()
    made: list[Case] = []
    for form in GROWTH_FORMS:
        for clip_s in (0.5, 1.0, 2.0, 5.0):
            made.append(Case(default, form, RATE, clip_s, "clip_s", clip_s))
        for hop in (80, 160, 320):
            config = dataclasses.replace(default, hop_length=hop)
            made.append(Case(config, form, axis="hop_length", value=hop))
        for n_mels in (20, 40, 64):
            config = dataclasses.replace(default, n_mels=n_mels)
            made.append(Case(config, form, axis="n_mels", value=n_mels))
        for rate, frame, n_fft in ((8000, 240, 256), (RATE, 480, 512), (44100, 1102, 2048)):
            config = FrontendConfig(frame_length=frame, hop_length=rate // 100, n_fft=n_fft)
            made.append(Case(config, form, rate, axis="sample_rate", value=rate))
    return made

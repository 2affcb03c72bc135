"""The `[data]` section: which recordings there are, what is learnt from them, and who judges."""

from __future__ import annotations

from dataclasses import dataclass

from audio_edge.section import Section

SILENCE, UNKNOWN = "silence", "unknown"
FOLDS = {"esc50": 5, "urbansound8k": 10}  # official folds of the kinds that have them
KINDS = ("folder", "speech_commands", "synthetic", "audioset", *FOLDS)


@dataclass(frozen=True)
class DataConfig(Section):
    """What is learnt, and from which recordings.

    `words` are the labels to tell apart ([] takes every one there is). With `unknown`, every other
    word becomes the class "unknown"; with `silence`, cuts from the noise recordings become the
    class "silence". `silence_share` and `unknown_share` are their shares of an epoch (unknown_share
    0 takes every clip there is); the `unknown_apart` most frequent unknown words are learnt as
    classes of their own, whose probabilities add up to that of "unknown"; `balance` draws as many
    clips of each word. `test_set` names the official Speech Commands split that judges;
    "validation" takes the selection speakers out of training. Of ESC-50 and UrbanSound8K the
    official `fold` judges and `val_share` of the other folds selects; `esc10` leaves only the ten
    classes of ESC-10. Clips of AudioSet have several labels each: `words` are names or ids of its
    classes, `unknown` keeps clips of none of them, without a label; with `ontology` a label counts
    for its ancestors. Files longer than `clip_s` give their loudest window, shorter ones get zeros
    on both sides. More than `max_bad_share` bad files is an error.

    `noise` names folders, files or patterns such as "sounds/2-*" of further recordings without a
    word: training alone hears them, as background and as silence, as often as other noise. `extra`
    names folders of further words, one subfolder a word, such as spoken ones: training alone hears
    them, as often as the others and less those whose speakers judge.
    """

    kind: str = "folder"
    root: str = ""
    words: tuple[str, ...] = ()
    unknown: bool = False
    silence: bool = False
    silence_share: float = 0.1
    unknown_share: float = 0.0
    unknown_apart: int = 64
    balance: bool = False
    noise: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    sample_rate: int = 16000
    clip_s: float = 1.0
    resample: bool = True
    test_set: str = "testing"
    esc10: bool = False
    ontology: bool = False
    fold: int = 1
    val_share: float = 0.1
    test_share: float = 0.1
    max_bad_share: float = 0.1
    decode_timeout_s: float = 20.0
    max_file_s: float = 600.0
    cache: str = ".cache/audio_edge"
    licence: str = ""
    voices: int = 48
    takes: int = 2
    other_words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require = self.require
        require(self.kind in KINDS, f"kind must be one of {', '.join(KINDS)}")
        require(4000 <= self.sample_rate <= 192000, "sample_rate must be 4000 to 192000 Hz")
        require(0.05 <= self.clip_s <= 60, "clip_s must be 0.05 to 60 s")
        require(0 <= self.silence_share < 0.9, "silence_share must be in [0, 0.9)")
        require(0 <= self.unknown_share < 0.9, "unknown_share must be in [0, 0.9)")
        require(self.unknown_apart >= 0, "unknown_apart must be >= 0")
        shares = {"silence_share": self.silence_share, "unknown_share": self.unknown_share}
        rule = "silence_share + unknown_share must leave room for words"
        require(sum(shares.values()) < 0.95, rule, **shares)
        official = self.test_set in ("testing", "validation")
        require(official, "test_set must be 'testing' or 'validation'")
        require(self.kind == "esc50" or not self.esc10, "esc10 = true needs kind = 'esc50'")
        require(self.multi_label or not self.ontology, "ontology = true needs kind = 'audioset'")
        plain = not (self.multi_label and (self.silence or self.balance or self.unknown_share))
        require(plain, "kind 'audioset' goes without silence, balance and unknown_share")
        require(not (self.multi_label and self.extra), "kind 'audioset' goes without extra")
        folds = FOLDS.get(self.kind, 1)
        require(folds > 1 or self.fold == 1, f"fold needs kind {' or '.join(FOLDS)}")
        require(1 <= self.fold <= folds, f"fold must be 1 to {folds}")
        val, test = self.val_share, self.test_share
        rule = "val_share and test_share must be > 0 and leave at least 0.1 for training"
        require(min(val, test) > 0 and val + test < 0.9, rule)
        require(0 <= self.max_bad_share <= 1, "max_bad_share must be in [0, 1]")
        require(self.decode_timeout_s > 0, "decode_timeout_s must be > 0")
        require(self.max_file_s >= self.clip_s, "max_file_s must be at least clip_s")
        speakable = self.kind != "synthetic" or bool(self.words)
        require(speakable, "kind 'synthetic' needs words to speak")
        require(self.voices >= 6 and self.takes >= 1, "voices must be >= 6 and takes >= 1")
        require(len(set(self.words)) == len(self.words), "words must not repeat")
        for name in (SILENCE, UNKNOWN):
            rule = f"'{name}' is a class of its own: set {name} = true instead"
            require(name not in self.words, rule, words=self.words)

    @property
    def multi_label(self) -> bool:
        """Whether a clip may have several labels, or none."""
        return self.kind == "audioset"

    @property
    def clip_samples(self) -> int:
        """Samples of one clip: clip_s at sample_rate."""
        return round(self.clip_s * self.sample_rate)

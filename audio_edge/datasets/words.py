"""Which words can be spoken and told apart, and which common ones serve as "unknown"."""

from __future__ import annotations

from audio_edge.config import SILENCE, DataConfig
from audio_edge.datasets.speech import Speaker, check_speakable
from audio_edge.errors import UserError

_ACCENTS = ("en-US", "en-GB-x-rp")  # in which words are compared by sound

# Common words of one or two syllables, with neighbours in sound of the usual keywords: yet of yes,
# stock of stop, life of left.
OTHERS = (
    "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "yet", "less",
    "guess", "yellow", "now", "new", "toe", "note", "cup", "bus", "town", "done", "drown",
    "lift", "laugh", "loft", "life", "ride", "light", "rice", "in", "an", "arm", "of", "cough",
    "often", "stock", "shop", "star", "step", "goat", "gold", "low", "show", "house", "happy",
    "water", "paper", "table", "music", "green", "seven", "three", "bird", "window", "morning",
    "people", "summer", "coffee", "river", "number", "garden", "money", "letter",
)  # fmt: skip


def others(data: DataConfig, speaker: Speaker) -> list[str]:
    """`data.other_words`, else those `OTHERS` that do not sound like one of `data.words`.

    Raises:
        UserError: A given other word sounds like a keyword, so that nobody could tell them apart.
    """
    keyword_of = {
        speaker.phonemes(word, accent): word for word in data.words for accent in _ACCENTS
    }
    kept = []
    for word in data.other_words or OTHERS:
        sounds = [speaker.phonemes(word, accent) for accent in _ACCENTS]
        keywords = [keyword_of[sound] for sound in sounds if sound in keyword_of]
        if not keywords:
            kept.append(word)
        elif data.other_words:
            alike = f"'{word}' sounds like the keyword '{keywords[0]}'"
            raise UserError(f"data.other_words: {alike}; remove it")
    return kept


def check(data: DataConfig) -> None:
    """Raise a `UserError` that names the first word of `data` that cannot be learnt."""
    seen: dict[str, str] = {}
    others = data.other_words if data.unknown else ()
    for key, words in (("words", data.words), ("other_words", others)):
        for word in words:
            check_speakable(word)
            if word != word.strip():
                raise UserError(f"data.{key}: {word!r} begins or ends with a space; remove it")
            if word == SILENCE:
                raise UserError(f"data.{key}: '{SILENCE}' is a class of its own; remove it")
            twin = seen.setdefault(word.casefold(), word)
            if twin != word or (key == "other_words" and word in data.words):
                raise UserError(
                    f"data.{key}: '{word}' is there already as '{twin}'; remove one of them"
                )
            if words.count(word) > 1:
                raise UserError(f"data.{key}: '{word}' is there twice; remove one of them")

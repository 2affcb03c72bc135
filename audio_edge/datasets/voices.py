"""Voices that speak offline, of eSpeak NG and SVOX Pico: choosing them and splitting them.

`VARIANTS` are the speakers of eSpeak that are distinct and intelligible, `ACCENTS` the ways each of
them can speak English. `speech` makes them speak.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from audio_edge.errors import UserError

ACCENTS = (
    "en", "en-029", "en-GB-scotland", "en-GB-x-gbclan", "en-GB-x-gbcwmd", "en-GB-x-rp",
    "en-US", "en-US-nyc",
)  # fmt: skip
FOREIGN = ("af", "de", "nl")  # English read as in another language; no data set is spoken so
PICO = ("en-US", "en-GB")
# 59 of the 104 variants. Left out: whispers, robots and distortions; those whose words a template
# matcher confuses (Alicia, Lee, kaukovalta); the far too quick or slow (antonio, Marco); all but
# one of each group that hardly differs (steph for steph2 and steph3, klatt4 for klatt5, ...).
VARIANTS = (
    "Alex", "Andrea", "Andy", "Annie", "AnxiousAndy", "Denis", "Gene", "Henrique", "Mario",
    "Michael", "Mike", "Nguyen", "Reed", "RicishayMax", "Storm", "Tweaky", "anika", "announcer",
    "aunty", "belinda", "benjamin", "boris", "caleb", "croak", "david", "ed", "f1", "f2", "f3",
    "f4", "f5", "grandma", "gustave", "ian", "iven4", "john", "klatt2", "klatt4", "klatt6",
    "linda", "m1", "m2", "m4", "m5", "m6", "m7", "m8", "marcelo", "max", "michel", "norbert",
    "pablo", "quincy", "robert", "sandro", "shelby", "steph", "travis", "zac",
)  # fmt: skip


@dataclass(frozen=True)
class Voice:
    """One voice: an accent, and for espeak the variant that says who speaks.

    engine: "espeak" or "pico"; accent: of `ACCENTS`, `FOREIGN` or `PICO`; variant: of `VARIANTS`,
    "" for pico.
    """

    engine: str
    accent: str
    variant: str = ""

    def __post_init__(self) -> None:
        known = {"espeak": (ACCENTS + FOREIGN, VARIANTS), "pico": (PICO, ("",))}.get(self.engine)
        if not known or self.accent not in known[0] or self.variant not in known[1]:
            raise UserError(
                f"no such voice: {self.name}; see ACCENTS, FOREIGN, VARIANTS and PICO in {__name__}"
            )

    @property
    def name(self) -> str:
        """Name that serves in file names and says all: espeak.en-US.f1, pico.en-GB."""
        return ".".join(filter(None, (self.engine, self.accent, self.variant)))

    @property
    def identity(self) -> str:
        """Who speaks, whatever the accent: the unit of a split."""
        return f"{self.engine}.{self.variant or self.accent}"


def voice(name: str) -> Voice:
    """The voice of a `Voice.name`."""
    parts = name.split(".")
    if not 2 <= len(parts) <= 3:
        raise UserError(f"no such voice: {name}; a name looks like espeak.en-US.f1 or pico.en-GB")
    return Voice(*parts)


@lru_cache(maxsize=16)
def _ranked(seed: int) -> tuple[str, ...]:
    """The variants in the order in which a seed takes them."""
    hashed = {name: hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in VARIANTS}
    return tuple(sorted(VARIANTS, key=hashed.__getitem__))


def choose(count: int, seed: int) -> list[Voice]:
    """Choose `count` voices: both of Pico, then espeak variants, none twice until all are taken.

    Raises:
        UserError: There are not that many.
    """
    most = len(PICO) + len(VARIANTS) * len(ACCENTS)
    if not len(PICO) < count <= most:
        raise UserError(f"data.voices must be {len(PICO) + 1} to {most}. Received: {count}")
    chosen = [Voice("pico", accent) for accent in PICO]
    for position in range(count - len(PICO)):
        turn, rank = divmod(position, len(VARIANTS))
        chosen.append(Voice("espeak", ACCENTS[(rank + turn) % len(ACCENTS)], _ranked(seed)[rank]))
    return chosen


def split_of(who: Voice | str, seed: int, val_share: float, test_share: float) -> str:
    """The split of a voice: "train", "val" or "test".

    An espeak variant belongs to one split in all its accents, so nobody who is heard in the test
    was heard in training. One Pico voice is in training, the other in the test. The variants, in
    the order in which `choose` takes them, fill whichever split is furthest below its share, the
    first one going to validation: no split is empty, and a voice keeps its split when more are
    added.

    Args:
        who: A voice or its name.
        seed: The seed that `choose` had.
        val_share: Share of the voices for validation, > 0.
        test_share: Share of the voices for the test, > 0.
    """
    who = voice(who) if isinstance(who, str) else who
    return _splits(seed, val_share, test_share)[who.identity]


@lru_cache(maxsize=16)
def _splits(seed: int, val_share: float, test_share: float) -> dict[str, str]:
    first, second = PICO if hashlib.sha256(f"{seed}:pico".encode()).digest()[0] % 2 else PICO[::-1]
    splits = {f"pico.{first}": "train", f"pico.{second}": "test"}
    shares = {"train": 1 - val_share - test_share, "val": val_share, "test": test_share}
    counts = {"train": 1, "val": 0, "test": 1}
    for rank, variant in enumerate(_ranked(seed)):
        below = {name: share * (len(splits) + 1) - counts[name] for name, share in shares.items()}
        name = max(below, key=below.__getitem__) if rank else "val"
        counts[name] += 1
        splits[f"espeak.{variant}"] = name
    return splits

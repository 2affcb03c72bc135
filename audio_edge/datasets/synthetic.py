"""A data set nobody recorded: words spoken by `voices`, each take in another pitch, pace and room.

Every clip is a pure function of (seed, word, voice, take), so the files do not depend on how many
processes speak. The data set lies in a cache folder named by a fingerprint of all that shapes it,
and is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from audio_edge import audio, files
from audio_edge.config import UNKNOWN, DataConfig
from audio_edge.datasets import speech, voices, words
from audio_edge.datasets.index import Clip, Index, folders, labels_of, speaker
from audio_edge.datasets.rendering import Take, render, stream
from audio_edge.datasets.speech import Speaker
from audio_edge.datasets.voices import Voice
from audio_edge.errors import UserError

_UNKNOWN = 6  # words whose clips the other words together match in number
_RECIPE = 3  # part of every cache name: raise it when a clip or the plan changes
_MANIFEST = "synthetic.json"
_LICENCES = ("spoken by eSpeak NG (GPL-3.0 engine)", "spoken by SVOX Pico (Apache-2.0)")


def index(data: DataConfig, *, seed: int, progress: Callable[[int], Any] | None = None) -> Index:
    """Index the spoken data set, which `build` makes if the cache has it not.

    Splits go by who speaks, whatever the accent: see `voices.split_of`.
    """
    root = build(data, seed=seed, progress=progress)
    found = folders(root, "data.cache")
    labels, classes = labels_of(data, found)
    clips = []
    for folder, label in classes.items():
        for path in found[folder]:
            group = speaker(path, root / folder)
            split = voices.split_of(group, seed, data.val_share, data.test_share)
            clips.append(Clip(path, label, group, split, folder))
    return Index(root, labels, tuple(clips), (), data.unknown_apart)


def build(
    data: DataConfig,
    *,
    seed: int,
    progress: Callable[[int], Any] | None = None,
    workers: int | None = None,
    timeout_s: float = 20.0,
) -> Path:
    """Speak `data.words`, and other words if `data.unknown`, unless the cache holds them already.

    Args:
        data: Of it count words, unknown, other_words, voices, takes, sample_rate, clip_s and cache.
        seed: Of the choice of voices and of every clip.
        progress: Called with 1 after each clip, from any thread.
        workers: Engine processes; None is one a core. The files do not depend on it.
        timeout_s: Seconds after which an engine is killed.

    Returns:
        `<cache>/synthetic-<fingerprint>` with `<word>/<voice>_nohash_<take>.wav`: 16-bit, mono,
        `clip_s` long.

    Raises:
        UserError: An engine is missing or fails, or a word cannot be spoken or sounds like another.
    """
    words.check(data)
    recipe = {
        "recipe": _RECIPE, "words": list(data.words), "unknown": data.unknown,
        "other_words": list(data.other_words), "voices": data.voices, "takes": data.takes,
        "sample_rate": data.sample_rate, "clip_s": data.clip_s, "seed": seed,
        "engines": speech.versions(),
    }  # fmt: skip
    target = Path(data.cache) / f"synthetic-{files.fingerprint(recipe)[:16]}"
    if _is_complete(target):
        return target
    with Speaker(timeout_s=timeout_s) as engine:
        takes = plan(data, seed, engine)
    with _replacing_folder(target) as temporary:
        for word in {take.word for take in takes}:
            (temporary / word).mkdir()
        count = workers or os.cpu_count() or 1
        _render_all(takes, temporary, data, seed, progress, count, timeout_s)
        manifest = recipe | {"clips": len(takes), "licences": list(_LICENCES)}
        files.write_json(temporary / _MANIFEST, manifest)
    return target


def plan(data: DataConfig, seed: int, speaker: Speaker) -> list[Take]:
    """List the clips: every word by every voice in every take.

    Other words have as many clips together as six words have, spread over all voices.
    """
    chosen = voices.choose(data.voices, seed)
    takes = [
        Take(word, who, take) for word in data.words for who in chosen for take in range(data.takes)
    ]
    if not data.unknown:
        return takes
    others = words.others(data, speaker)
    rng = stream(seed, UNKNOWN)
    counts: Counter[tuple[str, Voice]] = Counter()
    order: list[str] = []
    for place in range(max(_UNKNOWN * len(chosen) * data.takes, len(others))):
        order = order or [others[n] for n in rng.permutation(len(others))]
        pair = (order.pop(), chosen[place % len(chosen)])
        takes.append(Take(*pair, counts[pair]))
        counts[pair] += 1
    return takes


def test_voices(data: DataConfig, seed: int) -> list[Voice]:
    """The voices that a run with this `data` and seed keeps for its test."""
    shares = (data.val_share, data.test_share)
    chosen = voices.choose(data.voices, seed)
    return [who for who in chosen if voices.split_of(who, seed, *shares) == "test"]


def overheard(where: Index, *, sample_rate: int) -> list[np.ndarray]:
    """What background talkers may say: the training voices' other words, for `noise.noises`."""
    clips = [clip for clip in where.clips if clip.label == UNKNOWN and clip.split == "train"]
    return [audio.read(clip.path, sample_rate=sample_rate)[0] for clip in clips]


def _render_all(
    takes: Iterable[Take],
    folder: Path,
    data: DataConfig,
    seed: int,
    progress: Callable[[int], Any] | None,
    workers: int,
    timeout_s: float,
) -> None:
    """Make all clips by threads with an engine process each; the first failure stops all."""
    rate = data.sample_rate
    queue: SimpleQueue[Take] = SimpleQueue()
    for take in takes:
        queue.put(take)
    failures: list[BaseException] = []
    stop = threading.Event()

    def work() -> None:
        try:
            with Speaker(timeout_s=timeout_s) as engine:
                while not stop.is_set():
                    try:
                        take = queue.get_nowait()
                    except Empty:
                        return
                    clip = render(
                        take, engine, sample_rate=rate, clip_samples=data.clip_samples, seed=seed
                    )
                    path = folder / take.word / f"{take.voice.name}_nohash_{take.number}.wav"
                    audio.write(path, clip, rate)
                    if progress:
                        progress(1)
        except BaseException as error:  # handed to the caller's thread
            failures.append(error)
            stop.set()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    if failures:
        raise failures[0]


@contextlib.contextmanager
def _replacing_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target` that takes its place only if the block ends well."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        prefix = f".{target.name}-{os.getpid()}-"
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=prefix))
    except OSError as error:
        remedy = "set data.cache to another place"
        raise UserError(f"{target}: cannot be written ({error.strerror}); {remedy}") from error
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        if not _is_complete(target):  # another process may have been faster
            shutil.rmtree(target, ignore_errors=True)
            temporary.replace(target)
    except OSError as error:
        remedy = "free space or set data.cache to another place"
        raise UserError(f"{target}: cannot be written ({error.strerror}); {remedy}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sweep(target: Path) -> None:
    """Remove what killed builds of the same data set left behind."""
    for left in target.parent.glob(f".{target.name}-*"):
        owner = left.name.removeprefix(f".{target.name}-").partition("-")[0]
        if owner.isdigit() and os.name == "posix":
            try:
                os.kill(int(owner), 0)  # signal 0 only asks whether the process lives
            except ProcessLookupError:
                shutil.rmtree(left, ignore_errors=True)
            except OSError:
                continue


def _is_complete(folder: Path) -> bool:
    if not (folder / _MANIFEST).is_file():
        return False
    manifest = files.read_json(folder / _MANIFEST, dict)
    return manifest.get("clips") == sum(1 for _ in folder.glob("*/*.wav"))

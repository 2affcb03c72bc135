"""Which clips are worth a person's time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audio_edge.errors import UserError

MARGIN, CONTROL = 0.2, 0.02


def check(least: float, control: float) -> None:
    """Raise UserError unless both, see `reason`, are shares."""
    if not (0 <= least <= 1 and 0 <= control <= 1):
        raise UserError(f"--margin and --control must be in [0, 1]. Received: {least}, {control}")


def margin(scores: Sequence[float]) -> float:
    """The best score less the second best; a lone one's distance from one half."""
    if len(scores) < 2:
        return abs(scores[0] - 0.5)
    second, best = sorted(scores)[-2:]
    return best - second


def reason(
    scores: Mapping[str, float], other: Mapping[str, float] | None = None, *, key: str,
    least: float = MARGIN, control: float = CONTROL,
) -> str | None:  # fmt: skip
    """Why a clip belongs into the queue, of `queue.WHYS`; None if it does not.

    Args:
        scores: Of each label, by the model that is deployed.
        other: The same by another model: its float original, its successor.
        key: Hash of the clip, hexadecimal, from which the control sample is drawn: the same clip is
            always in it or never.
        least: A margin below this is low.
        control: Share of all clips that are taken whatever the scores: without them nobody learns
            of mistakes that the model is sure of.
    """
    if not scores:
        return None
    if other and max(scores, key=scores.__getitem__) != max(other, key=other.__getitem__):
        return "disagreement"
    if margin(list(scores.values())) < least:
        return "low margin"
    return "control sample" if int(key[:12], 16) < control * 16**12 else None

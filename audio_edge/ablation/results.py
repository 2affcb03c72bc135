"""What an ablation came to: every variant against the config as it is, on the same clips."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audio_edge import files
from audio_edge.ablation.judging import CLEAN
from audio_edge.ablation.switches import BASE, Variant
from audio_edge.config import SILENCE
from audio_edge.metrics import wilson_interval
from audio_edge.paired import mcnemar

# Of a variant, what `judging.judge` gave for each seed
Judged = Mapping[str, Mapping[int, Mapping[str, Any]]]
_Z = 1.959964


def summary(
    name: str, variants: Sequence[Variant], judged: Judged, *,
    seeds: Sequence[int], left_out: Mapping[str, str],
) -> dict[str, Any]:  # fmt: skip
    """The rows of the table, as far as there are runs.

    Returns:
        name, seeds, left_out and rows: of each variant name, state, seeds (those that are done) and
        sets. Of each set: n, accuracy and loss (means over the seeds), deviation (of the accuracy
        over the seeds; None of one) and interval (95 % Wilson, of n clips however many seeds), and
        of all but BASE `change`: what `change` gives on the seeds that both have, or None.
    """
    rows, before = [], judged.get(BASE, {})
    for variant in variants:
        done = judged.get(variant.name, {})
        if not done:
            continue
        names = list(next(iter(done.values())))
        sets = {part: _figures([found[part] for found in done.values()]) for part in names}
        if variant.name != BASE:
            common = [seed for seed in done if seed in before]
            for part in names:
                pairs = [(done[s][part]["right"], before[s][part]["right"]) for s in common]
                sets[part]["change"] = change(pairs) if pairs else None
        rows.append(
            {"name": variant.name, "state": variant.state, "seeds": list(done), "sets": sets}
        )
    return {"name": name, "seeds": list(seeds), "left_out": dict(left_out), "rows": rows}


def _figures(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shares = [statistics.fmean(each["right"].values()) for each in found]
    accuracy = statistics.fmean(shares)
    n = round(statistics.fmean(len(each["right"]) for each in found))
    return {
        "n": n,
        "accuracy": accuracy,
        "deviation": statistics.stdev(shares) if len(shares) > 1 else None,
        "interval": list(wilson_interval(round(accuracy * n), n)),
        "loss": statistics.fmean(each["loss"] for each in found),
    }


def change(pairs: Sequence[tuple[Mapping[str, int], Mapping[str, int]]]) -> dict[str, Any]:
    """One config against another on the same clips, over several seeds.

    A clip counts once, by the seeds in which either gets it right: seeds are no further clips. Of
    one seed this is `paired.compare`: the exact test is McNemar's, or the sign test of the clips
    that one gets right in more seeds; the interval is that of Bonett and Price (2012), which is
    Wald's with two clips added, one to either side.

    Args:
        pairs: Of each seed (clip -> whether A was right, clip -> whether B was), the same clips.

    Returns:
        difference (accuracy of A less that of B), deviation (over the seeds; None of one), interval
        (95 %), only_a and only_b (clips that one gets right in more seeds), p_value (two-sided).
    """
    shares: dict[str, list[int]] = {}
    for a, b in pairs:
        if a.keys() != b.keys() or not a:
            raise ValueError(f"both must have the same clips. Received: {len(a)}, {len(b)}")
        for clip in a:
            shares.setdefault(clip, []).append(a[clip] - b[clip])
    by_clip = np.array([statistics.fmean(each) for each in shares.values()])
    padded = np.append(by_clip, [1.0, -1.0])
    centre, spread = padded.mean(), _Z * padded.std() / math.sqrt(len(padded))
    by_seed = [statistics.fmean(a[clip] - b[clip] for clip in a) for a, b in pairs]
    only_a, only_b = int((by_clip > 0).sum()), int((by_clip < 0).sum())
    return {
        "difference": statistics.fmean(by_seed),
        "deviation": statistics.stdev(by_seed) if len(by_seed) > 1 else None,
        "interval": [max(-1.0, float(centre - spread)), min(1.0, float(centre + spread))],
        "only_a": only_a, "only_b": only_b, "p_value": mcnemar(only_a, only_b),
    }  # fmt: skip


def write(folder: Path, result: dict[str, Any]) -> None:
    """Write ablation.json and ablation.md."""
    files.write_json(folder / "ablation.json", result)
    files.write_bytes(folder / "ablation.md", markdown(result).encode(errors="backslashreplace"))


def markdown(result: dict[str, Any]) -> str:
    """The table of a `summary` and what it allows to conclude."""
    rows = result["rows"]
    names = list(rows[0]["sets"]) if rows else []
    columns = ["augmentation", "state"]
    for name in names:
        columns += [f"{name} %", f"{name}: change"]
        columns += [f"{name}: loss"] * (name != SILENCE)
    lines = [columns, ["---", "---", *["---:"] * (len(columns) - 2)]]
    for row in rows:
        line = [row["name"], row["state"]]
        for name in names:
            found = row["sets"][name]
            line += [_share(found), _change(found.get("change"))]
            line += [f"{found['loss']:.3f}"] * (name != SILENCE)
        lines.append(line)
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{_notes(result, names)}\n"


def told(row: dict[str, Any], seed: int) -> str:
    """One line about a variant after a further seed."""
    found = row["sets"][CLEAN]
    share = f"{_share(found)} % of the selection clips"
    text = f"{row['name']} ({row['state']}), after seed {seed}: {share}"
    return f"{text}, change {_change(found['change'])}" if found.get("change") else text


def _share(found: dict[str, Any]) -> str:
    low, high = found["interval"]
    spread = "" if found["deviation"] is None else f" ± {100 * found['deviation']:.1f}"
    return f"{100 * found['accuracy']:.1f}{spread} ({100 * low:.1f} to {100 * high:.1f})"


def _change(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    low, high = (f"{100 * end:+.1f}" for end in found["interval"])
    spread = "" if found["deviation"] is None else f" ± {100 * found['deviation']:.1f}"
    value = f"{100 * found['difference']:+.1f}{spread} ({low} to {high})"
    chance = found["p_value"]
    return f"{value}, p {'< 0.001' if chance < 0.001 else f'{chance:.3f}'}"


def _notes(result: dict[str, Any], names: Sequence[str]) -> str:
    """What the figures are, how many were compared, and what one seed cannot tell."""
    rows = result["rows"]
    sizes = ", ".join(f"{name} {rows[0]['sets'][name]['n']}" for name in names) if rows else "none"
    changes = [row["sets"][name]["change"] for row in rows for name in names if row["name"] != BASE]
    chances = [each["p_value"] for each in changes if each]
    bound = 0.05 / max(1, len(chances))
    sure = sum(chance < bound for chance in chances)
    lines = [
        f"{result['name']}: float stage, selection clips only ({sizes}), with 95 % intervals. "
        "A change is the row less the config as it is, in percentage points, with the exact "
        "paired test: below zero, what was switched made it worse.",
        f"Of {len(chances)} changes {sum(chance < 0.05 for chance in chances)} have p < 0.05, "
        f"where chance alone gives about {0.05 * len(chances):.1f}; {sure} hold against as many "
        f"comparisons (p < {bound:.2g}, Bonferroni).",
    ]
    if len(result["seeds"]) == 1:
        lines.append(
            "One seed: the intervals are of the clips alone, and the same config trained with "
            "another seed may differ by as much; give --seeds 0,1,2."
        )
    else:
        lines.append(
            f"Mean ± deviation over the seeds {', '.join(map(str, result['seeds']))}; a clip "
            "counts once, however many seeds heard it."
        )
    lines += [f"Left out: {name}, {reason}." for name, reason in result["left_out"].items()]
    lines += [
        f"Not finished: {row['name']} has seeds {', '.join(map(str, row['seeds']))} only."
        for row in rows
        if len(row["seeds"]) < len(result["seeds"])
    ]
    return "\n\n".join(lines)

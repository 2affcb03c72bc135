"""The tables of the report: confusions, figures of each class, bins of confidence, noise."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from typing import Any


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column names the row; all cells are text, which is escaped here."""
    top = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage; an undefined one is left blank."""
    return "" if share is None else f"{100 * share:.{digits}f}"


def ratio(value: float | None) -> str:
    """A figure in [0, 1] with four digits; an undefined one is left blank."""
    return "" if value is None else f"{value:.4f}"


def span(interval: Sequence[float]) -> str:
    """An interval of shares, in percent."""
    return f"{percent(interval[0])} to {percent(interval[1])}"


def classes(per_class: Mapping[str, Mapping[str, Any]]) -> str:
    """Figures of each class against the rest; what no clip defines is blank."""
    heads = ["class", "clips", "recall, %", "95 % interval", "precision, %", "F1", "AP", "AUC"]
    rows = [
        [
            label, str(row["n"]),
            percent(row["recall"]) if row["n"] else "", span(row["interval"]) if row["n"] else "",
            percent(row["precision"]), ratio(row["f1"]), ratio(row["average_precision"]),
            ratio(row["auc"]),
        ]
        for label, row in per_class.items()
    ]  # fmt: skip
    return table("Each class against the rest", heads, rows)


def bins(rows: Sequence[Mapping[str, Any]]) -> str:
    """Bins of confidence that hold a clip."""
    return table(
        "Bins of confidence",
        ["confidence, %", "clips", "mean confidence, %", "accuracy, %"],
        [
            [
                f"{percent(row['low'])} to {percent(row['high'])}", str(row["n"]),
                percent(row["confidence"]), percent(row["accuracy"]),
            ]
            for row in rows if row["n"]
        ],
    )  # fmt: skip


def noise(found: Mapping[str, Any]) -> str:
    """Accuracy at each ratio, and without added noise."""
    rows = [(f"{row['snr_db']:g} dB", row) for row in found["rows"]]
    return table(
        "Accuracy in noise",
        ["noise", "clips", "accuracy, %", "95 % interval"],
        [
            [name, str(row["n"]), percent(row["accuracy"]), span(row["interval"])]
            for name, row in [*rows, ("none added", found["clean"])]
        ],
    )


def confusion(
    matrix: Sequence[Sequence[int]], labels: Sequence[str], linked: Collection[tuple[int, int]]
) -> str:
    """Counts, the share of each row as its shade; the cells in `linked` lead to their clips."""
    names = [escape(label) for label in labels]
    top = "".join(f'<th scope="col"><span>{name}</span></th>' for name in names)
    body = []
    for said, (name, counts) in enumerate(zip(names, matrix, strict=True)):
        total = max(1, sum(counts))
        cells = ""
        for heard, count in enumerate(counts):
            text = str(count)
            if (said, heard) in linked:
                spoken = f"{count} of {name} heard as {names[heard]}"
                place = f'data-said="{said}" data-heard="{heard}"'
                text = f'<a href="#errors" {place} aria-label="{spoken}">{count}</a>'
            cells += _cell(text, count / total)
        body.append(f'<tr><th scope="row">{name}</th>{cells}<td>{sum(counts)}</td></tr>')
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">'
        '<table class="confusion"><caption>Counts of clips</caption>'
        f'<thead><tr><td></td>{top}<th scope="col"><span>all</span></th></tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(text: str, share: float) -> str:
    """A cell of the matrix, its text HTML already."""
    if not share:
        return '<td class="none">·</td>'
    kind = ' class="dark"' if share > 0.5 else ""
    return f'<td{kind} style="--share:{100 * share:.0f}%">{text}</td>'

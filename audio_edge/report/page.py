"""The page as a whole: its sections in reading order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from audio_edge.report import figures, gallery, tables
from audio_edge.report.style import CSS, SCRIPT
from audio_edge.report.subject import Subject

_POLICY = (  # the browser itself refuses to load anything from elsewhere
    "default-src 'none'; img-src data:; media-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)


@dataclass(frozen=True)
class Content:
    """What the page shows.

    Attributes:
        subject: The model.
        source: Which clips it was judged on, in words.
        result: Of `evaluation.evaluate`.
        probs: float [n, classes].
        waveforms: int16 [n, clip_samples].
        truth: int [n].
        names: The files.
        sample_rate: Hz.
        histories: Of `subject.histories`; may be empty.
        noise: Of `noisy.accuracy`, or None.
    """

    subject: Subject
    source: str
    result: Mapping[str, Any]
    probs: np.ndarray
    waveforms: np.ndarray
    truth: np.ndarray
    names: Sequence[str]
    sample_rate: int
    histories: Mapping[str, Sequence[Mapping[str, float]]]
    noise: Mapping[str, Any] | None = None


def render(content: Content) -> str:
    """The HTML of the whole page."""
    sections = [
        ("confusion", "Confusions", _confusion(content)),
        ("classes", "Classes", tables.classes(content.result["per_class"])),
        ("errors", "Misheard clips", _errors(content)),
        ("rates", "Hits and false alarms", _rates(content)),
        ("calibration", "Confidence", _calibration(content)),
        ("noise", "Noise", _noise(content)),
        ("learning", "Learning curves", _learning(content)),
    ]
    shown = [(name, title, body) for name, title, body in sections if body]
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title, _ in shown)
    body = "".join(
        f'<section id="{name}" aria-labelledby="{name}-title">'
        f'<h2 id="{name}-title">{title}</h2>{text}</section>'
        for name, title, text in shown
    )
    name = escape(" ".join(filter(None, [content.subject.name, content.subject.stage])))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{name}: how well it hears</title>\n<link rel="icon" href="data:,">\n'
        f"<style>{CSS}</style>\n</head>\n<body>\n<header><h1>{name}</h1>{_summary(content)}"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n<main>{body}</main>\n'
        "<footer>Intervals hold the true value in 95 % of cases (Wilson 1927), if the clips are "
        "drawn like those to come.</footer>\n"
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _summary(content: Content) -> str:
    result, subject = content.result, content.subject
    facts = {
        "clips": f"{result['n']}, {content.source}",
        "mean recall": f"{tables.percent(result['mean_recall'])} %",
        "macro F1": tables.ratio(result["macro_f1"]),
        "mean average precision": tables.ratio(result["mean_average_precision"]),
        "calibration error (ECE)": tables.ratio(result["ece"]),
        "Brier score": tables.ratio(result["brier"]),
        "stage": subject.stage,
        "parameters": f"{subject.params:,}",
        "size": f"{subject.size_bytes:,} bytes ({subject.file})",
        "runtime": subject.runtime,
    }
    rows = "".join(
        f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>"
        for key, value in facts.items()
        if value
    )
    interval = f"right, 95 % interval {tables.span(result['interval'])} %"
    accuracy = tables.percent(result["accuracy"])
    return f'<p class="lead">{accuracy} % <small>{interval}</small></p><dl>{rows}</dl>'


def _learning(content: Content) -> str:
    if not content.histories:
        return ""
    return (
        "<p>Training clips are augmented, selection clips are not, so that selection may be the "
        f'better of the two.</p><div class="figures">{figures.learning(content.histories)}</div>'
    )


def _confusion(content: Content) -> str:
    result, heard = content.result, content.probs.argmax(axis=1)
    chosen = gallery.worst(content.truth, content.probs)[: gallery.MOST_CARDS]
    shown = {(int(content.truth[clip]), int(heard[clip])) for clip in chosen}
    return (
        "<p>Rows: what was said. Columns: what was heard. Shade: share of the row. A count that is "
        "underlined leads to its clips.</p>"
        + tables.confusion(result["confusion"], result["labels"], shown)
    )


def _rates(content: Content) -> str:
    per_class, labels = content.result["per_class"], content.result["labels"]
    areas = {
        number: per_class[label]["auc"]
        for number, label in enumerate(labels)
        if per_class[label]["auc"] is not None
    }
    if not areas:
        return ""
    lowest = min(areas, key=lambda number: areas[number])
    choice = _select("class", "Class brought out", labels, areas, lowest)
    drawn = figures.rates(content.truth, content.probs, labels, lowest)
    return (
        "<p>Each class against the rest, at every threshold on its score. At first the class of "
        f'the lowest AUC is brought out.</p><div class="controls">{choice}</div>'
        f'<div class="figures">{drawn}</div>'
    )


def _calibration(content: Content) -> str:
    rows = content.result["reliability"]
    if rows is None:
        return "<p>The scores are no probabilities, so there is no calibration to show.</p>"
    caption = (
        f"<strong>Expected calibration error {content.result['ece']:.3f}</strong>; dots under the "
        "diagonal are overconfident; grey: how many clips"
    )
    drawn = figures.figure(figures.reliability(rows), caption)
    return f'<div class="figures">{drawn}{tables.bins(rows)}</div>'


def _noise(content: Content) -> str:
    found = content.noise
    if found is None:
        return ""
    names = ", ".join(map(escape, found["noises"]))
    drawn = figures.figure(
        figures.noise(found["rows"], found["clean"]["accuracy"]),
        "<strong>Accuracy in noise</strong>; dashed: no noise added",
    )
    return (
        f"<p>Noise of the run's own test, mixed in over the whole clip: {names}. Silent clips left "
        f'out: {found["left_out"]}.</p><div class="figures">{drawn}{tables.noise(found)}</div>'
    )


def _errors(content: Content) -> str:
    wrong = gallery.worst(content.truth, content.probs)
    if not len(wrong):
        return "<p>None: every clip was heard right.</p>"
    chosen = wrong[: gallery.MOST_CARDS]
    labels = content.result["labels"]
    said = _select("said", "Said", labels, sorted(set(content.truth[chosen])), None)
    heard = _select(
        "heard", "Heard", labels, sorted(set(content.probs[chosen].argmax(axis=1))), None
    )
    length_s = content.waveforms.shape[1] / content.sample_rate
    count = f"{len(wrong)} of {content.result['n']} clips were misheard"
    if len(wrong) > len(chosen):
        count += f"; here are the {len(chosen)} worst"
    return (
        f"<p>{count}, the surest mistake first. A picture is {length_s:g} s wide and "
        f"50 Hz to {content.sample_rate / 2000:g} kHz high.</p>"
        f'<div class="controls">{said}{heard}<span id="shown" role="status">'
        f"{len(chosen)} of {len(chosen)} shown</span></div>"
        + gallery.cards(
            chosen.tolist(), content.waveforms, content.truth, content.probs, content.names, labels,
            content.sample_rate,
        )
    )  # fmt: skip


def _select(
    name: str, title: str, labels: Sequence[str], numbers: Iterable[int], chosen: int | None
) -> str:
    """A labelled choice among classes; without a chosen one it begins with all of them."""
    options = "" if chosen is not None else '<option value="">all</option>'
    for number in numbers:
        mark = " selected" if number == chosen else ""
        options += f'<option value="{number}"{mark}>{escape(labels[number])}</option>'
    return f'<label for="{name}">{title} <select id="{name}">{options}</select></label>'

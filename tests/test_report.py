"""The report: what stands in the page, that it loads nothing, and that a browser shows it."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from audio_edge import media, metrics, report
from audio_edge.report import chart, figures, gallery
from tests import browser

LABELS = ("yes", "no", '<b>&"')
RATE = 16000


def content(rng, errors=7, n=30, samples=RATE // 4, **changes):
    """Made-up clips; the first `errors` are heard as the next class."""
    truth = np.arange(n) % 3
    probs = np.full((n, 3), 0.05)
    probs[np.arange(n), truth] = 0.9
    for clip in range(errors):
        sure = 0.6 + 0.3 * clip / errors
        probs[clip] = 0.02
        probs[clip, truth[clip]] = 0.98 - sure
        probs[clip, (truth[clip] + 1) % 3] = sure
    given = {
        "subject": report.Subject("demo", "int8", 1234, 56789, "m.tflite", "a_runtime 1.0"),
        "source": "the test split", "result": metrics.evaluate(truth, probs, LABELS),
        "probs": probs, "truth": truth, "sample_rate": RATE,
        "waveforms": rng.integers(-3000, 3000, (n, samples)).astype(np.int16),
        "names": [f'{LABELS[label]}/"{clip}.wav' for clip, label in enumerate(truth)],
        "histories": {"float": [
            {"loss": 1.0, "val_loss": 1.2, "accuracy": 0.4, "val_accuracy": 0.5},
            {"loss": 0.5, "val_loss": 0.6, "accuracy": 0.8, "val_accuracy": 0.7},
        ]},
        "noise": {
            "rows": metrics.accuracy_by_snr([(0, True), (0, False), (20, True)]),
            "clean": {"accuracy": 1.0, "n": 2, "interval": [0.3, 1.0]},
            "left_out": 0, "noises": ["<hum>"], "seed": 0,
        },
    }  # fmt: skip
    return report.Content(**{**given, **changes})


class Reader(HTMLParser):
    """Elements with their attributes, and the text; complains of what is not closed in order."""

    VOID = ("meta", "link", "img", "line", "circle", "polyline", "rect")

    def __init__(self, text):
        super().__init__()
        self.found, self.words, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag, **wanted):
        return [
            a for t, a in self.found if t == tag and all(a.get(k) == v for k, v in wanted.items())
        ]


def test_page_has_a_card_for_each_error_and_a_chart_for_each_figure(rng):
    made = content(rng)
    page = Reader(report.render(made))
    assert len(page.all("li", **{"class": "card"})) == 7
    assert len(page.all("audio")) == len(page.all("img")) == 7
    # loss and accuracy, ROC and DET, reliability, noise
    assert len(page.all("svg", role="img")) == 6
    bins = sum(row["n"] > 0 for row in made.result["reliability"])
    # each table has a row of heads; two have a row a class, one a row a ratio and a clean one
    assert len(page.all("tr")) == (1 + 3) + (1 + 3) + (1 + bins) + (1 + 2 + 1)
    assert [link["href"] for link in page.all("a") if "data-said" not in link] == [
        "#confusion", "#classes", "#errors", "#rates", "#calibration", "#noise", "#learning"
    ]  # fmt: skip


def test_headline_is_the_accuracy_with_its_interval(rng):
    words = " ".join(Reader(report.render(content(rng))).words)
    assert "76.7 % right, 95 % interval 59.1 to 88.2 %" in " ".join(words.split())
    for fact in ("1,234", "56,789 bytes (m.tflite)", "a_runtime 1.0", "30, the test split", "int8"):
        assert fact in words


def test_labels_and_names_are_escaped_wherever_they_stand(rng):
    text = report.render(content(rng))
    page = Reader(text)
    assert not page.all("b")
    assert "<b>" not in text
    assert "<hum>" not in text
    words = page.words
    assert words.count('<b>&"') > 5
    heard = [a["aria-label"] for a in page.all("audio")]
    assert 'Play <b>&"/"2.wav' in heard


def test_page_loads_nothing_from_elsewhere(rng):
    text = report.render(content(rng))
    assert not re.search(r"(https?:)?//\w", re.sub(r"base64,[\w+/=]+", "", text))
    page = Reader(text)
    addresses = [a.get("src") or a.get("href") for _, a in page.found if "src" in a or "href" in a]
    assert len(addresses) > 20
    assert all(address.startswith(("data:", "#")) for address in addresses)
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert policy.startswith("default-src 'none'")


def test_everything_that_is_seen_can_be_read_aloud(rng):
    page = Reader(report.render(content(rng)))
    assert page.all("html")[0]["lang"] == "en"
    assert all(image["alt"] for image in page.all("img"))
    assert all(drawn["aria-label"] for drawn in page.all("svg") + page.all("audio"))
    named = {label["for"] for label in page.all("label")}
    assert named == {choice["id"] for choice in page.all("select")} == {"said", "heard", "class"}
    levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))


def test_same_content_gives_the_same_bytes():
    pages = {report.render(content(np.random.default_rng(0))) for _ in range(2)}
    assert len(pages) == 1


def test_model_without_errors_history_or_noise_has_a_page(rng):
    page = Reader(report.render(content(rng, errors=0, histories={}, noise=None)))
    assert "None: every clip was heard right." in page.words
    assert not page.all("audio")
    assert {"noise", "learning"}.isdisjoint(section["id"] for section in page.all("section"))


def test_scores_that_are_logits_have_a_page(rng):
    made = content(rng)
    logits = 20 * made.probs - 10
    result = metrics.evaluate(made.truth, logits, LABELS)
    page = Reader(report.render(content(rng, probs=logits, result=result)))
    assert "The scores are no probabilities, so there is no calibration to show." in page.words


def test_page_of_600_clips_and_60_errors_of_a_second_stays_under_3_mb(rng):
    text = report.render(content(rng, errors=80, n=600, samples=RATE))
    assert len(Reader(text).all("audio")) == gallery.MOST_CARDS
    assert len(text.encode()) < 3_000_000


def test_long_clips_beyond_the_budget_have_no_player_but_a_card(rng):
    page = Reader(report.render(content(rng, errors=9, samples=10 * RATE)))
    assert len(page.all("li", **{"class": "card"})) == 9
    assert len(page.all("audio")) == 6  # of 320 kB each, in 2 MB
    assert page.words.count("No player: the page would grow too large.") == 3


def test_worst_is_the_surest_mistake_and_ties_keep_their_order():
    probs = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    assert gallery.worst(np.array([1, 1, 1, 1]), probs).tolist() == [1, 0, 3]


def test_sound_of_a_card_is_the_clip_to_the_bit(rng):
    clip = rng.integers(-32768, 32768, 4000).astype(np.int16)
    uri = media.data_uri(media.wav(clip, RATE), "audio/wav")
    samples, rate = soundfile.read(
        io.BytesIO(base64.b64decode(uri.removeprefix("data:audio/wav;base64,"))), dtype="int16"
    )
    assert rate == RATE
    np.testing.assert_array_equal(samples, clip)


def test_picture_of_a_card_is_read_by_another_decoder(rng):
    from matplotlib import image

    shades = rng.integers(0, 32, (5, 9)).astype(np.uint8)
    shades[0, :2] = 0, 31
    pixels = image.imread(io.BytesIO(media.png(shades)))[..., :3]
    assert pixels.shape == (5, 9, 3)
    np.testing.assert_allclose(pixels[0, 0], [0, 0, 4 / 255], atol=1e-6)  # the ends of magma
    np.testing.assert_allclose(pixels[0, 1], [252 / 255, 253 / 255, 191 / 255], atol=1e-6)
    brightness = [pixels[shades == shade].mean() for shade in np.unique(shades)]
    assert (np.diff(brightness) > 0).all()


def test_spectrogram_is_bright_where_the_tone_is_and_dark_elsewhere():
    time = np.arange(RATE) / RATE
    wave = np.where(time < 0.5, np.sin(2 * np.pi * 1000 * time), 0)
    shades = media.spectrogram(wave, RATE)
    assert shades.shape == (48, 101)
    assert shades.max() == 31
    # mel 1000 is 0.327 of the way from 50 Hz (mel 78) to 8000 Hz (mel 2840), from below
    assert shades[:, 20].argmax() == pytest.approx(47 * (1 - 0.334), abs=1)
    assert shades[:, 80].max() == 0


@pytest.mark.parametrize("sample_rate", [4000, 8000, 48000, 192000])
@pytest.mark.parametrize("samples", [1, 700, 100_000])
def test_spectrogram_of_any_clip_fits_the_card(rng, sample_rate, samples):
    shades = media.spectrogram(rng.normal(0, 0.1, samples), sample_rate)
    assert shades.shape[0] == 48
    assert 1 <= shades.shape[1] <= media.COLUMNS


def test_silence_is_dark():
    assert media.spectrogram(np.zeros(RATE), RATE).max() == 0


def test_line_keeps_the_corners_of_a_staircase_only():
    x = y = chart.linear(0, 1, "")
    steps = [(0, 0), (0, 0.25), (0, 0.5), (0.5, 0.5), (0.75, 0.5), (0.75, 1)]
    drawn = chart.line(x, y, steps, attributes="")
    assert len(re.search('points="(.*?)"', drawn)[1].split()) == 4


@pytest.mark.parametrize(
    ("low", "high", "percent", "texts"),
    [
        (0, 1, True, ["0", "20", "40", "60", "80", "100"]),
        (0, 0.37, False, ["0", "0.1", "0.2", "0.3"]),
        (-1, 31, False, ["0", "10", "20", "30"]),
    ],
)
def test_ticks_are_round(low, high, percent, texts):
    assert [text for _, text in chart.linear(low, high, "", percent=percent).ticks] == texts


def test_det_axis_is_spread_by_the_normal_quantile():
    axis = chart.probit(0.02, 0.98, "")
    assert axis.share(0.5) == pytest.approx(0.5)
    assert axis.share(0.0) == 0.0  # no quantile; at the edge
    one_sigma = axis.share(0.841345) - axis.share(0.5)
    assert one_sigma == pytest.approx(axis.share(0.977250) - axis.share(0.841345), abs=1e-5)


def test_an_epoch_that_is_not_finite_is_passed_over():
    drawn = figures.learning({"float": [{"loss": 1.0}, {"loss": float("inf")}, {"loss": 0.5}]})
    assert "inf" not in drawn.split("aria-label")[1].split(">", 1)[1]
    assert "<polyline" in drawn


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    if not browser.installed():
        pytest.skip("no Chromium is installed; apt-get install chromium")
    with browser.opened(tmp_path_factory.mktemp("profile")) as page:
        yield page


SHOWN = 'document.querySelectorAll(".card:not([hidden])").length'


def test_browser_shows_filters_and_plays_without_a_complaint(tab, rng, tmp_path):
    made = content(rng)
    path = tmp_path / "report.html"
    path.write_text(report.render(made), encoding="utf-8")
    tab.look(width=1200)
    tab.open(path)
    assert tab.run(SHOWN) == 7
    choose = "by('said').value = '2'; by('said').dispatchEvent(new Event('change'))"
    tab.run(choose)
    expected = int(((made.truth == 2) & (made.probs.argmax(axis=1) != 2)).sum())
    assert tab.run(SHOWN) == expected == 2
    assert tab.run('by("shown").textContent') == "2 of 7 shown"
    assert tab.run('by("said").selectedOptions[0].textContent') == LABELS[2]
    tab.run("document.querySelector('.confusion a').click()")
    assert tab.run(SHOWN) == 3  # yes heard as no: clips 0, 3 and 6
    tab.run("by('class').value = '1'; by('class').dispatchEvent(new Event('change'))")
    assert tab.run('document.querySelectorAll("polyline.strong[data-class]").length') == 2
    played = """new Promise((done, failed) => {
        const player = document.querySelector("audio");
        player.addEventListener("ended", () => done(player.duration));
        player.addEventListener("error", () => failed(player.error.message));
        player.play().catch(failed);
    })"""
    assert tab.run(played) == pytest.approx(0.25)
    assert tab.errors == []
    assert {url.split(":")[0] for url in tab.requests} <= {"file", "data"}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1200, 375])
def test_browser_fits_the_page_to_the_window(tab, rng, tmp_path, width, dark):
    from matplotlib import image

    path, picture = tmp_path / "report.html", tmp_path / "page.png"
    path.write_text(report.render(content(rng)), encoding="utf-8")
    tab.look(width=width, dark=dark)
    tab.open(path)
    assert tab.run("document.documentElement.scrollWidth") == width
    tab.screenshot(picture)
    pixels = image.imread(picture)[..., :3]
    assert pixels.shape[1] == width
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100  # not blank
    assert (pixels.mean() < 0.4) == dark

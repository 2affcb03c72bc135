"""The page of the review: its keys, who may ask the server what, and the page in a browser."""

import http.client
import json
import re
import threading
import time

import numpy as np
import pytest

from audio_edge.errors import UserError
from audio_edge.review import page
from audio_edge.review.queue import Queue, create
from audio_edge.review.server import Server
from audio_edge.review.terms import Terms
from tests import browser

LABELS = ("silence", "stop", '<b>&"', "unknown")
RATE = 16000


@pytest.fixture
def queue(tmp_path, rng):
    made = create(tmp_path / "<kitchen>", Terms(LABELS, consent="the testers"))
    for number in range(3):
        samples = rng.integers(-3000, 3000, RATE // 4).astype(np.int16)
        scores = {"stop": 0.6, "silence": 0.3, '<b>&"': 0.1}
        facts = {"scores": scores if number else None, "given": "stop" if number == 2 else ""}
        made.add(samples, RATE, source=f"s{number}", model="m", why="reported", now=0.0, **facts)
    return made


@pytest.fixture
def server(queue):
    with Server(queue) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def ask(server, method, path, body=None, **headers):
    link = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    given = {"Content-Type": "application/json", **headers} if method == "POST" else headers
    link.request(method, path, body, given)
    answer = link.getresponse()
    content = answer.read()
    link.close()
    return answer.status, content


def test_each_label_has_a_key_of_its_own_its_first_letter_where_it_is_free():
    assert page.keys(("down", "go", "dog", "d", "über")) == ["d", "g", "o", "1", "b"]
    many = page.keys([f"label {number}" for number in range(40)])
    assert len(set(many) - {""}) == 36 and many[36:] == [""] * 4


def test_the_page_escapes_names_and_loads_nothing_from_elsewhere(queue):
    text = page.render("<kitchen>", LABELS)
    assert "<kitchen>" not in text and "&lt;b&gt;&amp;&quot;" in text
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", text)
    assert "default-src 'none'" in page.POLICY


def test_a_decision_is_in_the_queue_before_the_answer(server, queue):
    status, content = ask(server, "GET", "/next")
    shown = json.loads(content)
    assert status == 200 and shown["item"]["source"] == "s0" and not shown["undo"]
    body = json.dumps({"sha256": shown["item"]["sha256"], "kind": "label", "label": "stop"})
    status, content = ask(server, "POST", "/decide", body)
    assert status == 200 and json.loads(content)["item"]["source"] == "s1"
    assert [item.label for item in Queue(queue.folder).reviewed()] == ["stop"]
    status, content = ask(server, "POST", "/undo", "{}")
    assert json.loads(content)["item"]["source"] == "s0"
    assert Queue(queue.folder).reviewed() == []


def test_a_clip_whose_sound_was_removed_by_hand_is_passed_over(server, queue):
    queue.next()[0].path.unlink()
    status, content = ask(server, "GET", "/next")
    assert status == 200 and json.loads(content)["item"]["source"] == "s1"
    assert queue.progress()["open"] == 2


@pytest.mark.parametrize(
    "method, path, body, headers, status",
    [
        ("GET", "/../queue.sqlite", None, {}, 404),
        ("GET", "/next", None, {"Host": "evil.example"}, 403),
        ("POST", "/decide", "{}", {"Host": "evil.example:80"}, 403),
        ("POST", "/undo", "{}", {"Content-Type": "text/plain"}, 400),
        ("POST", "/decide", "[]", {}, 400),
        ("POST", "/decide", "{", {}, 400),
        ("POST", "/decide", '{"sha256": 1}', {}, 400),
        ("POST", "/decide", '{"sha256": "0", "kind": "drop"}', {}, 400),
        ("POST", "/decide", "x" * 70000, {}, 400),
        ("POST", "/nothing", "{}", {}, 404),
    ],
)
def test_the_server_refuses_what_the_page_does_not_ask(
    server, queue, method, path, body, headers, status
):
    found, content = ask(server, method, path, body, **headers)
    assert found == status and json.loads(content)["error"]
    assert queue.progress()["open"] == 3


def test_a_port_that_is_taken_is_told(server):
    with pytest.raises(UserError, match="give another --port"):
        Server(server.queue, server.server_port)


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    if not browser.installed():
        pytest.skip("no Chromium is installed; apt-get install chromium")
    with browser.opened(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def until(tab, script):
    """Wait for the page, which waits for the server."""
    for _ in range(500):
        if tab.run(script):
            return
        time.sleep(0.02)
    raise AssertionError(f"never true: {script}")


def press(tab, key):
    tab.run(f"document.dispatchEvent(new KeyboardEvent('keydown', {{key: {key!r}}}))")


def test_browser_labels_skips_undoes_and_goes_on_after_a_reload(tab, server, queue):
    tab.requests.clear()
    tab.look(width=1200)
    tab.visit(server.address)
    until(tab, "by('source').textContent === 's0'")
    assert tab.run("by('accept').disabled")  # nothing is known of this one
    press(tab, "t")  # silence has s, so stop has t
    until(tab, "by('source').textContent === 's1'")
    press(tab, "Enter")  # as the model says
    until(tab, "by('given').textContent === 'stop'")
    assert tab.run("by('counts').textContent") == "2 of 3 decided"
    assert [item.label for item in queue.reviewed()] == ["stop", "stop"]
    press(tab, "ArrowRight")
    until(tab, "by('counts').textContent === '2 of 3 decided, 1 skipped'")
    tab.visit(server.address)
    until(tab, "by('source').textContent === 's2'")
    press(tab, "ArrowLeft")  # the skipping
    until(tab, "by('counts').textContent === '2 of 3 decided'")
    press(tab, "Backspace")  # the Enter, of before the reload
    until(tab, "by('source').textContent === 's1'")
    tab.run("document.querySelectorAll('.labels button')[2].click()")
    until(tab, "by('source').textContent === 's2'")
    press(tab, "Delete")
    until(tab, "!by('done').hidden")
    assert [item.label for item in queue.reviewed()] == ["stop", '<b>&"']
    assert queue.progress()["drop"] == 1
    assert tab.errors == []
    assert all(url.startswith((server.address, "data:")) for url in tab.requests)


def test_browser_plays_the_clip_to_its_end(tab, server):
    tab.look(width=1200)
    tab.visit(server.address)
    until(tab, "item && player.duration > 0")
    played = """new Promise((done, failed) => {
        player.addEventListener("ended", () => done(player.duration));
        player.addEventListener("error", () => failed(player.error.message));
        player.currentTime = 0;
        player.play().catch(failed);
    })"""
    assert tab.run(played) == pytest.approx(0.25)
    assert tab.errors == []


@pytest.mark.parametrize("width, dark", [(390, False), (1280, True)])
def test_browser_fits_the_review_to_the_window(tab, server, tmp_path, width, dark):
    from matplotlib import image

    tab.look(width=width, dark=dark)
    tab.visit(server.address)
    until(tab, "item && by('picture').complete")
    assert tab.run("document.documentElement.scrollWidth") == width
    tab.screenshot(tmp_path / "page.png")
    pixels = image.imread(tmp_path / "page.png")[..., :3]
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100  # not blank
    assert (pixels.mean() < 0.4) == dark


def test_the_page_of_a_folder_whose_name_is_no_text_is_shown(tmp_path):
    with Server(create(tmp_path / "q\udcff", Terms(LABELS))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        status, content = ask(server, "GET", "/")
        assert (status, b"q?" in content) == (200, True)
        given = json.dumps({"sha256": "\ud800", "kind": "drop"})
        assert ask(server, "POST", "/decide", given)[0] == 400
        server.shutdown()

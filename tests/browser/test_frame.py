"What all boards share: a page that opens whole, and one whose server doesn't answer"
import re
import subprocess
import sys
from contextlib import contextmanager

LOADS = 10
BUSY = [sys.executable, '-c', 'while True: pass']
FOUR = """() => document.querySelectorAll('[aria-label="cherry images"] .nvae-tile').length === 4"""
INERT = "() => document.querySelector('.nvae-body').inert"


@contextmanager
def busy_processor(processes=2):
    "Other work beside the block"
    others = [subprocess.Popen(BUSY) for _ in range(processes)]
    try:
        yield
    finally:
        for other in others: other.kill()


def test_ten_loads_beside_other_work(app, home):
    "Everything is there each time: no part that the page missed while the first picture was drawn"
    with busy_processor():
        view = app('cherry', TEMPERATURE=(.7, .9), N=4, WANTED=4)
        for load in range(LOADS):
            if load: view.page.reload()
            view.settled()
            view.page.wait_for_function(FOUR)
            assert view.page.locator('.nvae-temperatures .noUi-handle').count() == 2
            assert view.page.locator('.nvae-empty').count() == 4
            assert 'javascript error' not in view.page.inner_text('body')
    assert not view.ours()


def test_a_server_that_does_not_answer(app, home):
    "The board says so and takes no more keys, until the connection is there again"
    view = app('sample', FILE='small')
    page, down, sockets = view.page, [], []

    def through(socket):
        if down: return socket.close()
        sockets.append(socket)
        socket.connect_to_server()

    page.route_web_socket(re.compile('/channels'), through)
    page.reload()
    view.settled()
    assert page.locator('.nvae-banner').is_hidden()
    down.append(True)
    for socket in sockets: socket.close()
    page.wait_for_selector('.nvae-banner:has-text("has stopped")')
    assert page.evaluate(INERT)
    view.shot('gone')
    down.clear()
    page.wait_for_selector('.nvae-banner', state='hidden')
    assert not page.evaluate(INERT)
    view.server.process.terminate()
    page.wait_for_selector('.nvae-banner:has-text("has stopped")')
    assert page.evaluate(INERT)

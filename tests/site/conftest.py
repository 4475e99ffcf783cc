"The built site in Chromium, from its folder and from a server, asking nobody else for anything"
import functools
import http.server
import sys
import threading
from urllib.parse import urlsplit

import pytest
from built import PAGES, ROOT, SITE
from chromium import find_chromium
from playwright.sync_api import sync_playwright


@pytest.fixture(scope='session', autouse=True)
def built():
    if not PAGES: pytest.fail('there is no site to test: run make docs')


@pytest.fixture(scope='session')
def settings():
    sys.path.insert(0, str(ROOT / 'docs'))
    import book
    return book.settings()


@pytest.fixture(scope='session')
def chromium():
    path = find_chromium()
    if not path: pytest.fail('the tests of the site need Chromium: apt install chromium, or name one in $CHROMIUM')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=['--no-sandbox', '--disable-gpu'])
        yield browser
        browser.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@pytest.fixture(scope='session')
def server():
    "The site on 127.0.0.1, as `make docs-serve` has it"
    httpd = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=SITE))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{httpd.server_port}'
    httpd.shutdown()


def is_foreign(url):
    parts = urlsplit(url)
    return parts.scheme not in ('file', 'data', 'blob', 'about') and parts.hostname != '127.0.0.1'


class Reader:
    "A page of Chromium, and what went wrong in it"
    def __init__(self, context, address):
        self.page, self.address, self.problems = context.new_page(), address, []
        self.page.on('console', self._said)
        self.page.on('pageerror', lambda e: self.problems.append(f'error: {e}'))
        self.page.on('requestfailed', lambda r: self.problems.append(f'not found: {r.url}'))
        self.page.on('request', self._requested)

    def _said(self, message):
        if message.type in ('error', 'warning'): self.problems.append(f'console: {message.text}')

    def _requested(self, request):
        if is_foreign(request.url): self.problems.append(f'request to another machine: {request.url}')

    def open(self, path):
        self.page.goto(f'{self.address}/{path}', wait_until='load')
        self.page.evaluate('() => window.MathJax?.startup?.promise')
        return self.page


@pytest.fixture
def reader(chromium, server):
    "reader(theme, width, served=False): a new visitor"
    contexts = []
    def come(theme='light', width=1280, served=False):
        contexts.append(chromium.new_context(viewport=dict(width=width, height=900), color_scheme=theme))
        if served: contexts[-1].grant_permissions(['clipboard-read', 'clipboard-write'], origin=server)
        return Reader(contexts[-1], server if served else f'file://{SITE}')
    yield come
    for context in contexts: context.close()

"What a person does with a board, and what went wrong meanwhile"
import json
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import torch
from PIL import Image

from nvae.data.faces import draw_faces
from nvae.plots.pictures import image_grid, png, to_pil
from nvae.sampling.provenance import like

OUTPUT = Path(__file__).parents[2] / 'test-output' / 'browser'
LONG = 180_000  # ms, for a kernel that starts on a machine with other work
IDLE = """() => { const s = window.jupyterapp?.shell?.currentWidget?.sessionContext, k = s?.session?.kernel
                  return s?.isReady && k?.connectionStatus === 'connected' && k.status === 'idle' }"""

SETTLED = """() => { const board = document.querySelector('.nvae-board')
                     return board?.querySelector('.nvae-calm, .nvae-error') && !board.querySelector('.nvae-busy') }"""
NEWER = """([caption, serial]) => {
  const grid = document.querySelector(`.nvae-grid:has([aria-label="${caption}"])`)
  return +grid.dataset.serial > +serial
}"""
DROPPED = """([name, bytes]) => {
  const dropped = new DataTransfer()
  dropped.items.add(new File([new Uint8Array(bytes)], name))
  return dropped
}"""
THEMED = """name => document.body.dataset.jpThemeName === name && !document.querySelector('#jupyterlab-splash')"""


class Page:
    "A page of Chromium that remembers what went wrong, and draws what it looks like"
    def __init__(self, context, name, server):
        self.name, self.server, self.problems, self.shots = name, server, [], 0
        self.page = context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on('console', self._said)
        self.page.on('pageerror', lambda e: self.problems.append(f'error: {e}'))
        self.page.on('request', self._requested)

    def _said(self, message):
        if message.type == 'error': self.problems.append(f"console: {message.text} {message.location['url']}")

    def _requested(self, request):
        host = urlsplit(request.url).hostname
        if host not in ('127.0.0.1', None, ''): self.problems.append(f'request to another machine: {request.url}')

    @property
    def is_lab(self): return self.name.startswith('lab')

    def ours(self):
        """Problems, but for two of Voila's own page: the font that it may not fetch, and other projects' extensions of
        JupyterLab that can't run in it"""
        if self.is_lab: return self.problems
        return [p for p in self.problems if '/@fortawesome/' not in p and '/voila/labextensions/' not in p]

    def settled(self):
        "A board is there, and doesn't work on anything"
        self.page.wait_for_function(SETTLED, timeout=LONG)
        return self

    def shot(self, what):
        "A screenshot, in JupyterLab one in each theme"
        self.shots += 1
        OUTPUT.mkdir(parents=True, exist_ok=True)
        for theme in ('dark', 'light') if self.is_lab else ('',):
            if theme: wear(self.page, theme)
            self.page.screenshot(path=OUTPUT / f'{self.name}-{self.shots:02d}-{what}{theme and "-"}{theme}.png')

    # --- hands
    def press(self, text): self.page.locator('.nvae-board').get_by_role('button', name=text, exact=True).click()

    def unfold(self, name='More'):
        "Show the controls under More, or what stands behind another button"
        self.press(name)

    def grid(self, caption): return self.page.locator(f'.nvae-grid:has([aria-label="{caption}"])')

    def tiles(self, caption): return self.grid(caption).locator('.nvae-tile')

    def after(self, caption, act):
        "Do something, and wait for the picture that it leads to"
        before = self.grid(caption).get_attribute('data-serial')
        act()
        self.page.wait_for_function(NEWER, arg=[caption, before])
        self.settled()

    def slide(self, handle, key='ArrowRight'):
        handle.focus()
        self.page.keyboard.press(key)

    def error(self):
        "What the board says went wrong"
        self.page.wait_for_selector('.nvae-said .nvae-error')
        return self.page.locator('.nvae-said .nvae-error').inner_text()

    def drop(self, name, content, place=0):
        "Drop a file on the n-th place for images that is to be seen"
        data = self.page.evaluate_handle(DROPPED, [name, list(content)])
        grid = self.page.locator('.nvae-grid:has(.nvae-drop:visible)').nth(place)
        for event in 'dragover', 'drop': grid.dispatch_event(event, dict(dataTransfer=data))

    def save(self, folder, pattern):
        "Save, and find what was saved"
        before = set(folder.glob(pattern))
        self.press('Save')
        until(lambda: set(folder.glob(pattern)) > before)
        [new] = set(folder.glob(pattern)) - before
        return new


def wear(page, theme):
    "Another theme of JupyterLab"
    name = f'JupyterLab {theme.title()}'
    page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name)
    page.wait_for_function(THEMED, arg=name)


def run(view):
    "Run the notebook that JupyterLab shows from top to bottom"
    view.page.wait_for_function(IDLE)
    view.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
    return view.settled()


def until(truth, seconds=60):
    "Wait for something outside the page"
    end = time.monotonic() + seconds
    while not truth() and time.monotonic() < end: time.sleep(.05)
    assert truth()


def kernels(server):
    "Processes in which notebooks of a server run"
    family = psutil.Process(server.process.pid).children(recursive=True)
    return [p for p in family if any('ipykernel' in word for word in p.cmdline())]


def asked(server, what, method='GET'):
    "What a server's API answers"
    base, token = server.address.replace('/lab?token=', '/?token=').split('/?token=')
    headers = dict(Authorization=f'token {token}')
    request = urllib.request.Request(f'{base}/api/{what}', method=method, headers=headers)
    with urllib.request.urlopen(request) as reply: return json.loads(reply.read() or 'null')


def picks_of(home):
    "(seed, index) of every pick that is on disk"
    recipes = []
    for file in home.glob('picks/*.json'):
        recipes += [pick['recipe'] for pick in json.loads(file.read_text())['picks']]
    return [(recipe['seed'], recipe['index']) for recipe in recipes]


def face(number, size=64):
    "A file as somebody would drop it"
    return f'face-{number}.png', png(to_pil(torch.from_numpy(draw_faces([number], size)[0])[0]))


def comes_out_again(picture):
    "A saved picture, drawn once more from what it carries, pixel for pixel"
    again = like(picture)
    drawn = image_grid(again.images, **again.grid)
    with Image.open(picture) as before: return np.array_equal(np.asarray(before), np.asarray(drawn))

"""How fast the boards answer, on this machine: `python tests/browser/bench_boards.py --config NAME --seconds 10` prints
one line of JSON, as in nbs/6_results/widgets.jsonl; `make bench-boards` measures what 6_results/01_benchmarks shows.

kernel, grid    from another seed on the sampling board to nine new images in the widget, as bytes
kernel, group   from fresh noise for one group of one image to the image as bytes; what lies above the group is kept
browser, grid   from a move of the slider to the frame in which Chromium has drawn the new image

Each is a median with quartiles after a warm-up, in milliseconds, in a process that does nothing else. Weights don't
matter for speed, so the network is an untrained one; BatchNorm's statistics are those in the file."""
import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from chromium import find_chromium

from nvae.bench import alone, machine, repeat
from nvae.boards.grid import sprite
from nvae.boards.sample import SampleBoard
from nvae.boards.server import Server, with_parameters
from nvae.boards.session import Studio
from nvae.config import load_config
from nvae.errors import BadInput
from nvae.network.cost import n_parameters
from nvae.network.model import NVAE
from nvae.runs.checkpoint import save_model
from nvae.sampling.explore import Change
from nvae.sampling.recipe import Recipe, drawn, with_variants

WARM_UP = 3  # slides in the browser before those that count
HANDLE = '.nvae-board .noUi-handle'

# the page's own clock: from the move of the slider to the animation frame after the new image is in its place
CLOCK = """() => {
  const grid = document.querySelector('.nvae-grid')
  let start = null
  window.nvaeTimes = []
  addEventListener('pointermove', e => { if (e.buttons) start = performance.now() }, true)
  const arrived = () => {
    if (start === null) return
    const begun = start
    start = null
    requestAnimationFrame(() => window.nvaeTimes.push(performance.now() - begun))
  }
  new MutationObserver(arrived).observe(grid, {attributes: true, attributeFilter: ['data-serial']})
}"""


def spread(seconds):
    "Median, low and high quartile of repeated times in milliseconds, and how many there are"
    low, median, high = statistics.quantiles([1000 * s for s in seconds], n=4, method='inclusive')
    return dict(median=median, low=low, high=high, n=len(seconds))


def untrained(cfg, folder):
    "A network of this configuration, as a .model file"
    torch.manual_seed(0)
    return save_model(NVAE(cfg), Path(folder) / 'untrained.model')


def device_of(model):
    return next(model.parameters()).device


# --- in the kernel
def grid_times(file, repetitions=20, seconds=20.):
    "Seconds of each new batch of nine on the sampling board"
    board = SampleBoard(file, iterations=0, runs=Path(file).parent).wait(None)

    def another():
        board.new()
        board.wait(None)

    return repeat(another, device_of(board.studio.model), 2, repetitions, seconds)


def group_times(file, repetitions=5, seconds=20.):
    "Seconds of each new drawing of one image with one group's noise fresh: a list per group, coarse to fine"
    model = Studio(Path(file).parent).load(file).model
    image, kept, seeds = Recipe(n=1, temperature=.7, iterations=0), {}, itertools.count()

    def change(group):
        _, variant = with_variants(image, Change((group,), seed=next(seeds)), 1)
        sprite(drawn(model, variant, kept), 1)

    n = len(model.groups)
    device, each = device_of(model), seconds / n
    return [repeat(partial(change, group), device, 1, repetitions, each) for group in range(n)]


def in_kernel(cfg, seconds=20.):
    "grid and group as `spread` says them, groups: the median of each in milliseconds"
    with tempfile.TemporaryDirectory() as folder:
        file = untrained(cfg, folder)
        grid = grid_times(file, seconds=seconds)
        groups = group_times(file, seconds=seconds)
    medians = [round(1000 * statistics.median(times), 1) for times in groups]
    return dict(grid=spread(grid), group=spread(sum(groups, [])), groups=medians)


# --- in the browser
def slide(page, by):
    "Drag the first slider by so many pixels, and wait for the image that this leads to"
    handle = page.locator(HANDLE).first.bounding_box()
    before = page.evaluate('window.nvaeTimes.length')
    x, y = handle['x'] + handle['width'] / 2, handle['y'] + handle['height'] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by, y)
    page.mouse.up()
    page.wait_for_function('n => window.nvaeTimes.length > n', arg=before, timeout=120_000)


def slide_times(page, address, repetitions):
    "Seconds of each slide to and fro, on the board at that address"
    page.goto(address)
    page.wait_for_selector('.nvae-board .nvae-tile', timeout=300_000)
    page.evaluate(CLOCK)
    for k in range(repetitions + WARM_UP): slide(page, -30 if k % 2 else 30)
    return [ms / 1000 for ms in page.evaluate('window.nvaeTimes')[WARM_UP:]]


def browser_times(cfg, repetitions=20):
    "Seconds of each, through Voila, and the browser's version"
    from playwright.sync_api import sync_playwright
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = str(untrained(cfg, folder))
        notebook = with_parameters('sample', folder, FILE=file, ITERATIONS=0, RUNS=folder)
        options = dict(executable_path=find_chromium(), args=['--no-sandbox'])
        with Server('voila', notebook) as server, playwright.chromium.launch(**options) as browser:
            page = browser.new_page(viewport=dict(width=1280, height=900))
            return slide_times(page, server.address, repetitions), f'Chromium {browser.version}'


def in_browser(cfg):
    "grid as `spread` says it, and the browser; or what is missing to measure it"
    if not find_chromium(): return dict(missing='Chromium')
    try:
        times, browser = browser_times(cfg)
    except ImportError:
        return dict(missing='Playwright')
    return dict(grid=spread(times), browser=browser)


def measure(name, seconds):
    "The boards with a configuration on this machine; raises `BadInput` for a configuration that doesn't load"
    cfg = load_config(name)
    with torch.device('meta'): parameters = n_parameters(NVAE(cfg))
    return dict(
        config=cfg.name, parameters=parameters, image=[cfg.model.image_channels, *cfg.model.size],
        date=time.strftime('%Y-%m-%d'), machine=alone(machine),
        kernel=alone(in_kernel, cfg, seconds=seconds), browser=alone(in_browser, cfg))


def main():
    parser = argparse.ArgumentParser(description='measure how fast the boards answer; prints a line of JSON')
    parser.add_argument('--config', default='quickstart', help="a configuration's name, or the path of a YAML file")
    parser.add_argument('--seconds', type=float, default=20., help='for each part, about')
    options = parser.parse_args()
    try:
        print(json.dumps(measure(options.config, options.seconds), ensure_ascii=False))
    except BadInput as e:
        sys.exit(f'bench_boards: {e}')


if __name__ == '__main__':
    main()

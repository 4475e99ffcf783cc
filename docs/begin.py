"""Does it help to begin from a model? 300 coloured digits, from `demo32` and from scratch, three seeds of each.

python docs/begin.py [EPOCHS]    writes begin.jsonl, one line a run, for the page Begin from a model"""
import json
import shlex
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from results import PAGE, hardware

from nvae.config import configured
from nvae.runs.folder import open_run, read_metrics
from nvae.training.fit import fit

MEASURED = PAGE / 'begin.jsonl'
COUNTS = dict(train=300, test=500)
SEEDS, EPOCHS = range(3), 60
STYLES = [f'DejaVu {family}:{weight}' for family in ('Sans', 'Serif', 'Sans Mono') for weight in ('normal', 'bold')]
SETTINGS = ['lr_warmup=3', 'kl_warmup=3', 'eval_images=500', 'eval_every=3', 'preview_every=1000',
            'checkpoint_every=30']


def digit(random):
    "A digit, turned, of some colour on another, in a typeface that comes with matplotlib: 32×32"
    back, ink = random.integers(0, 256, 3), random.integers(0, 256, 3)
    while abs(int(back.sum()) - int(ink.sum())) < 200: ink = random.integers(0, 256, 3)
    large = Image.new('RGB', (128, 128), tuple(back.tolist()))
    font = ImageFont.truetype(font_manager.findfont(random.choice(STYLES)), int(random.integers(70, 110)))
    place = tuple((64 + random.integers(-14, 15, 2)).tolist())
    ImageDraw.Draw(large).text(place, str(random.integers(10)), tuple(ink.tolist()), font, anchor='mm')
    turned = large.rotate(float(random.uniform(-20, 20)), Image.Resampling.BICUBIC, fillcolor=tuple(back.tolist()))
    return turned.resize((32, 32), Image.Resampling.BOX)


def draw_digits(folder):
    "Training and held-out digits, each in its sub-folder"
    for seed, (part, n) in enumerate(COUNTS.items()):
        random = np.random.default_rng(seed)
        (folder / part).mkdir(parents=True)
        for i in range(n): digit(random).save(folder / part / f'{i:03}.png')


def measure(init, seed, data, runs, epochs):
    "Train; the record of it"
    name = f"{init or 'scratch'}-{seed}"
    cfg = configured('demo32', [f'name={name}', f'seed={seed}', f'epochs={epochs}', *SETTINGS], data)
    run = open_run(cfg, runs)
    fit(cfg, run, init=init)
    tests = [record for record in read_metrics(run.metrics) if record['kind'] == 'test']
    curves = {key: [record[other] for record in tests] for key, other in
              dict(steps='step', seconds='seconds', held_out='value').items()}
    return dict(init=init, seed=seed, command=shlex.join(['python', 'docs/begin.py', str(epochs)]), **curves,
                unit=tests[-1]['unit'], images=COUNTS, date=f'{datetime.now(UTC):%Y-%m-%d}', hardware=hardware(),
                torch=torch.__version__)


def main(epochs=EPOCHS):
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        draw_digits(Path(folder) / 'digits')
        for seed in SEEDS:
            for init in 'demo32', None:
                found = measure(init, seed, f'{folder}/digits', Path(folder) / 'runs', epochs)
                lines.append(json.dumps(found))
                print(init, seed, found['held_out'][-1], found['unit'], found['seconds'][-1], 's', flush=True)
    MEASURED.write_text('\n'.join(lines) + '\n', encoding='utf-8')


if __name__ == '__main__': main(*map(float, sys.argv[1:]))

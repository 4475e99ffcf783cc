"""The pictures under docs/images, for the README, the gallery and the pages of the boards, and how each is made.

python docs/pictures.py    makes those again that are older than what they show (docs/images/made.json knows)"""
import base64
import hashlib
import io
import json
import shlex
import subprocess
import sys
import tempfile
from glob import glob
from pathlib import Path
from typing import NamedTuple

import nbformat
from book import ROOT
from PIL import Image, ImageDraw

IMAGES, RECORD = Path('docs/images'), 'made.json'
WIDTH = 900  # pixels, about: the drawn pictures are enlarged by a whole number
SHOTS = Path('test-output/boards')
BOARDS = {  # what docs/images/boards holds in two themes, and what one sees there
    'sample': (
        '01_sample',
        'The sampling board: a slider for the temperature, buttons for new and earlier images, and nine samples.'),
    'cherry': (
        '02_cherry_pick',
        'The board for cherry-picking: nine samples at the left, those already picked in their order at the right.'),
    'explore': ('03_explore', 'The board for exploring latents: one row of variants per latent group.'),
    'interpolate': ('04_interpolate', 'The board for interpolating: two images at the ends, the steps between them.'),
    'step': ('05_step_through', 'The board that steps through the hierarchy, group by group.')}
WORKBENCH = 'nbs/workbench'


class Picture(NamedTuple):
    "A picture of the kit's own model, the command that draws it, and what there is to see"
    command: str
    caption: str


def samples(temperature):
    "The expression that draws two rows of samples"
    drawn = f'nvae.sample_images(nvae.load("demo"), n=14, temperature={temperature}, seed=0)'
    return f'nvae.image_grid({drawn}, n_cols=7)'


PICTURES = {
    'samples': Picture(samples(0.7), 'Fourteen samples at temperature 0.7: the first of seed 0, nobody picked them.'),
    'samples-cool': Picture(samples(0.4), 'The same noise at temperature 0.4: plainer faces, fewer accidents.'),
    'samples-hot': Picture(
        samples(1.0),
        'The same noise at temperature 1, the model as it was trained: more variety, more that went wrong.'),
    'explore': Picture(
        'nvae explore demo 0.7 --n 8',
        'One row per latent group, coarse to fine: fresh noise in that group alone. The unchanged image comes first.'),
    'interpolate': Picture(
        'nvae interpolate demo docs/images/faces/anna.png docs/images/faces/ben.png 7 --space noise --path spherical',
        'From one held-out face to another through the latents; the two originals stand at the ends.'),
    'reconstruct': Picture(
        'nvae reconstruct demo docs/images/faces/*.png --groups 8',
        'Seven held-out faces above; below, what the eight coarsest of twelve groups know of them.')}
FACES = {  # held-out faces by number, for the commands that want image files
    'anna': 1_000_010, 'ben': 1_000_013, 'cleo': 1_000_005, 'dan': 1_000_007, 'emma': 1_000_000, 'flora': 1_000_002,
    'gus': 1_000_014}


class Walk(NamedTuple):
    "Samples that change into others and back"
    n: int = 12           # faces, in rows of six
    stops: int = 4        # sets of noise that they pass, the first of seed 0
    steps: int = 10       # frames from one to the next
    temperature: float = 0.7


WALK = Walk()
STEPS = dict(model='demo32', face=FACES['anna'])  # of one held-out face
N_STEPS = 24
SEEDS = f'seed 0 to seed {WALK.stops - 1} and back'
FILMS = {  # what is seen; the frames stand in one picture, one below another
    'walk': f'{WALK.n} samples at temperature {WALK.temperature}, not picked, while their noise changes from {SEEDS}.',
    'steps': 'A held-out face on its way through both towers: each box as it is reached, what it computes, the image '
             'decoded so far, and the KL of each group, in nats.'}
SHOWN_ON = {'4_using/02_interpolate.ipynb': 'walk', '4_using/03_trace.ipynb': 'steps'}  # below the page's opening


def digest(*parts):
    "A fingerprint of texts and bytes"
    return hashlib.sha256(b'\0'.join(p if isinstance(p, bytes) else str(p).encode() for p in parts)).hexdigest()[:16]


def of_model(root=ROOT): return (root / 'models/demo.model').read_bytes()


def of_drawing(name, root=ROOT):
    "What a drawn picture depends on: its command and the model"
    return digest(PICTURES[name].command, of_model(root))


def training_curves(root=ROOT):
    "The figure that the training notebook holds of its run, as PNG"
    cell = next(cell for cell in code_cells(root / WORKBENCH / '00_train.ipynb') if 'watch=LiveCurves()' in cell.source)
    return base64.b64decode(next(o.data['image/png'] for o in cell.outputs if 'image/png' in o.get('data', {})))


def code_cells(path):
    "The code cells of a notebook"
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == 'code']


def of_board(stem, root=ROOT):
    "What a board's screenshot depends on: its notebook's code, the modules of the boards, and their scripts and styles"
    source = '\n'.join(cell.source for cell in code_cells(root / WORKBENCH / f'{stem}.ipynb'))
    files = sorted([*(root / 'nvae/boards').glob('*.py'), *(root / 'nbs/assets').glob('*')])
    return digest(source, *(path.read_bytes() for path in files))


def wanted(root=ROOT):
    "Every picture there should be: its name below docs/images → what it shows, as a fingerprint"
    prints = {'train.webp': digest(training_curves(root)), 'walk.webp': digest(WALK, of_model(root)),
              'steps.webp': digest(STEPS, (root / 'models/demo32.model').read_bytes(),
                                   (root / 'nvae/boards/storyboard.py').read_bytes())}
    prints |= {f'{name}.webp': of_drawing(name, root) for name in PICTURES}
    for name, (stem, _) in BOARDS.items():
        board = of_board(stem, root)
        prints |= {f'boards/{name}-light.webp': board, f'boards/{name}-dark.webp': board}
    return prints


def stale(root=ROOT):
    "The pictures that are missing, or show something that has changed since"
    record = root / IMAGES / RECORD
    made = json.loads(record.read_text(encoding='utf-8')) if record.exists() else {}
    def is_current(name, value):
        return made.get(name) == value and (root / IMAGES / name).exists()
    return [name for name, value in wanted(root).items() if not is_current(name, value)]


def is_shell(command): return command.startswith('nvae ')


def drawn(command):
    "The picture that a command, or an expression of Python, gives; raises `RuntimeError` when the command fails"
    import nvae
    from nvae.cli.main import main
    if not is_shell(command): return eval(command, dict(nvae=nvae))
    with tempfile.TemporaryDirectory() as folder:
        png = Path(folder) / 'picture.png'
        words = []
        for word in shlex.split(command)[1:]: words += sorted(glob(word)) if '*' in word else [word]
        if main([*words, '--out', str(png)]): raise RuntimeError(f'{command} failed')
        return Image.open(png).copy()


def draw(name, root=ROOT):
    "A drawn picture as a small WebP file, and the faces that its command may want"
    from nvae.data.faces import draw_faces
    from nvae.plots.pictures import to_pil
    faces = root / IMAGES / 'faces'
    faces.mkdir(parents=True, exist_ok=True)
    for face, number in FACES.items(): to_pil(draw_faces([number], 64)[0]).save(faces / f'{face}.png')
    enlarged(drawn(PICTURES[name].command)).save(root / IMAGES / f'{name}.webp', quality=85, method=6)


def enlarged(image):
    "By a whole number, to about the width of a page"
    factor = max(1, round(WIDTH / image.width))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def photograph(root=ROOT):
    "Let the browser tests take the boards' pictures"
    shown = f'--basetemp={tempfile.gettempdir()}/nvae-faces'  # the boards show paths in it
    subprocess.run([sys.executable, '-m', 'pytest', 'tests/browser/pictures.py', shown], cwd=root, check=True)


def keep_shot(name, root=ROOT):
    "A screenshot as a small WebP file"
    target = root / IMAGES / name
    target.parent.mkdir(exist_ok=True)
    with Image.open(root / SHOTS / Path(name).with_suffix('.png').name) as image:
        image.convert('RGB').save(target, quality=80, method=6)


def remake(name, root):
    "One picture of `wanted`"
    if name.startswith('boards/'): keep_shot(name, root)
    elif name == 'train.webp': Image.open(io.BytesIO(training_curves(root))).save(root / IMAGES / name, lossless=True)
    elif Path(name).stem in FILMS:
        film = dict(walk=walk, steps=steps)[Path(name).stem]()
        film.save(root / IMAGES / name, quality=78, method=6)
    else: draw(Path(name).stem, root)


def refresh(root=ROOT):
    "Make again what is stale, and remember what was shown"
    old, fingerprints = stale(root), wanted(root)
    if any(name.startswith('boards/') for name in old): photograph(root)
    for name in old: remake(name, root)
    if old:
        record = json.dumps(fingerprints, indent=1, sort_keys=True) + '\n'
        (root / IMAGES / RECORD).write_text(record, encoding='utf-8')
    return old


def one_below_another(frames):
    "Pictures of one size as one"
    width, height = frames[0].size
    whole = Image.new(frames[0].mode, (width, height * len(frames)))
    for i, frame in enumerate(frames): whole.paste(frame, (0, i * height))
    return whole


def figure(name, caption, options=''):
    "A picture of docs/images with its caption"
    return f'```{{figure}} /images/{name}.webp\n{options}:alt: {caption}\n\n{caption}\n```'


def walk(walk=WALK):
    "The frames of a `Walk`, from noise to noise on great circles, back to where it began"
    import torch

    import nvae
    from nvae.sampling.interpolate import spherical
    from nvae.sampling.sample import draw_images
    from nvae.sampling.statistics import estimate_statistics, using_statistics
    model = nvae.load('demo')
    stops = [nvae.draw_noise(model.cfg, walk.n, seed) for seed in range(walk.stops)]
    frames = []
    with using_statistics(model, estimate_statistics(model, walk.temperature, seed=0)):
        for a, b in zip(stops, [*stops[1:], stops[0]]):
            for t in torch.linspace(0, 1, walk.steps + 1)[:-1]:
                noise = [spherical(u, v, t) for u, v in zip(a, b)]
                frames.append(nvae.image_grid(draw_images(model, noise, walk.temperature), n_cols=6))
    return one_below_another(frames)


def steps(face=STEPS['face']):
    "The frames of a held-out face's way through the network, as the board that steps through draws them"
    import torch

    import nvae
    from nvae.boards.storyboard import GREY, LitTowers, downwards, font, frame, upwards
    from nvae.data.faces import draw_faces
    from nvae.sampling.trace import trace
    model = nvae.load(STEPS['model'])
    towers, pixels = LitTowers(model.cfg), torch.from_numpy(draw_faces([face], model.cfg.image_size)[0])
    way = trace(model, pixels / 255)
    frames = []
    for step in (*upwards(way, towers), *downwards(way, towers)):
        drawing = frame(step, towers)
        paper = Image.new('RGB', (drawing.width, drawing.height + 28), 'white')  # which suits both themes of the site
        paper.paste(drawing, mask=drawing.getchannel('A'))
        ImageDraw.Draw(paper).text((4, drawing.height + 6), f'{step.title}: {step.text}', fill=GREY, font=font())
        frames.append(paper)
    return one_below_another(frames)


def moving(name='walk'):
    "Markdown of a film; the style sheet shows a frame at a time, the script lets it move"
    return f'![{FILMS[name]}](/images/{name}.webp){{.film .{name}}}'


def film(chapter):
    "Markdown of the film that a page shows below its opening"
    name = SHOWN_ON.get(chapter)
    return f'{moving(name)}\n\n*{FILMS[name]}*' if name else ''


def boards(chapter):
    "Markdown that shows a board's notebook as it looks when it runs, in the reader's theme"
    for name, (stem, caption) in BOARDS.items():
        if chapter == f'workbench/{stem}.ipynb':
            light, dark = (full_size(f'boards/{name}-{theme}', caption, theme) for theme in ('light', 'dark'))
            return f'{light}\n\n{dark}'
    return ''


def full_size(name, caption, theme):
    "A picture for one theme, that leads to itself in full size"
    target = f'../_images/{Path(name).name}.webp'
    return figure(name, caption, f':figclass: only-{theme}\n:target: {target}\n')


GALLERY = '''# Gallery

{.subtitle}
What the small model that comes with the kit draws, and the commands that draw it

The model learned from 40,000 drawn faces of 64×64 pixels, thirteen times each, in eight minutes on one GPU
([its configuration](configs.md#config-demo)). Nothing here was chosen: every picture is the first that its command
gives, and the command gives it again.
'''


def gallery_page():
    "The drawn pictures, each with its command"
    shown = [GALLERY]
    for name, picture in PICTURES.items():
        language = 'sh' if is_shell(picture.command) else 'python'
        shown += [figure(name, picture.caption), f'```{language}\n{picture.command}\n```']
    return '\n\n'.join(shown) + '\n'


if __name__ == '__main__':
    for name in refresh(): print(f'made {IMAGES / name} again')

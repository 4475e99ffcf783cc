"The one place where these trials name the kit's modules: everything else goes through the front door or the files"
import contextlib
import importlib
import io
import re
import traceback
from pathlib import Path
from typing import NamedTuple

INSIDE = dict(  # what the front door doesn't offer: name, module
    main='nvae.cli.main', TrainingFailed='nvae.training.fit', Interrupted='nvae.training.fit',
    read_file='nvae.runs.checkpoint', read_checkpoint='nvae.runs.checkpoint', loaders_from='nvae.data.batches',
    read_image='nvae.data.images', to_official='nvae.interop', Studio='nvae.boards.session',
    Drawing='nvae.boards.session', Picks='nvae.boards.picks', as_pick='nvae.boards.picks',
    Recipe='nvae.sampling.recipe', draw_all='nvae.sampling.recipe')
WARMED = ('nvae.cli', 'nvae.cli.training', 'nvae.cli.models', 'nvae.cli.pictures', 'nvae.training.fit',
          'nvae.interop', 'nvae.boards.picks', 'nvae.boards.cherry', 'nvae.boards.explore', 'nvae.boards.interpolate',
          'nvae.boards.step', 'nvae.boards.sample', 'nvae.data.sources', 'nvae.schedule.plan',
          'nvae.evaluation.likelihood', 'torch._dynamo')
MODEL = dict(image_size=16, channels=8, n_scales=2, n_groups=1, z_channels=2, n_mix=2, n_pre_cells=1, n_post_cells=1,
             enc_cells=1, dec_cells=1)
TRAIN = dict(epochs=2, batch_size=8, lr_warmup=.2, kl_warmup=1, tracker='none', preview_every=100, ema_decay=.9,
             checkpoint_every=.2, eval_every=1)


def part(name):
    "A function or class of the kit"
    return getattr(importlib.import_module(INSIDE.get(name, 'nvae')), name)


def __getattr__(name):
    "kit.fit is the kit's `fit`"
    if name.startswith('_'): raise AttributeError(name)
    return part(name)


def warm():
    "Load the kit once, so that each trial is a quick fork"
    import torch
    torch.set_num_threads(1)
    for module in WARMED: importlib.import_module(module)


class Said(NamedTuple):
    "What a command left"
    code: int
    out: str
    err: str


def _terminal():
    "A stream that is as strict as a terminal's"
    return io.TextIOWrapper(io.BytesIO(), 'utf-8', 'backslashreplace', write_through=True)


def _words(stream):
    return stream.buffer.getvalue().decode(errors='replace')


def nvae(*args)->Said:
    "A line of the terminal, in this process"
    out, err = _terminal(), _terminal()
    out.reconfigure(errors='strict')
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = part('main')([str(a) for a in args])
        except SystemExit as leaving:
            code = leaving.code
        except Exception:
            traceback.print_exc()
            code = 1
    return Said(code, _words(out), _words(err))


def place_of(error)->str:
    "The last line of the kit that an exception went through"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if '/nvae/' in f.filename]
    return f'{_module(frames[-1].filename)}:{frames[-1].name}' if frames else ''


def place_in(text)->str:
    "The same from a printed traceback"
    frames = re.findall(r'File "([^"]*/nvae/[^"]*)", line \d+, in (\S+)', text)
    return f'{_module(frames[-1][0])}:{frames[-1][1]}' if frames else ''


def _module(path):
    return 'nvae/' + path.rpartition('/nvae/')[2]


def config(name='small', model=(), data=(), **train):
    "A configuration of a network that trains in a second"
    given = dict(name=name, model={**MODEL, **dict(model)}, data=dict(data), train={**TRAIN, **train})
    return part('Config').from_dict(given)


def blobs(n, seed, channels=3, size=(16, 16)):
    "Smooth random images (n, channels, H, W) in [0, 1]"
    import torch
    coarse = torch.rand(n, channels, 3, 3, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=size, mode='bilinear')


def loaders(cfg, n=40):
    m = cfg.model
    return part('loaders_from')(
        cfg, blobs(n, 0, m.image_channels, m.size), blobs(8, 1, m.image_channels, m.size))


def train(cfg, runs, watch=None):
    "Train a run, or go on with it; what is printed is returned"
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        run = part('open_run')(cfg, runs)
        model = part('fit')(cfg, run, loaders(cfg), watch=watch)
    return model, said.getvalue()


@contextlib.contextmanager
def every_step(before):
    "`before` is called with the state and the batches of each step; what it returns is trained on"
    fit = importlib.import_module('nvae.training.fit')
    step = fit.train_step
    fit.train_step = lambda state, xs: step(state, before(state, xs))
    try:
        yield
    finally:
        fit.train_step = step


def nonfinite(content, path='')->list:
    "Where numbers are not finite in what a reader gets"
    import torch
    if isinstance(content, dict): return [d for k, v in content.items() for d in nonfinite(v, f'{path}.{k}')]
    if isinstance(content, (list, tuple)): return nonfinite(dict(enumerate(content)), path)
    if not isinstance(content, torch.Tensor) or not content.is_floating_point(): return []
    return [] if content.isfinite().all() else [path]


def stop_after(steps, signum):
    "A watcher that sends this process a signal after so many steps"
    import os
    def watch(status, records, last=False):
        watch.steps += 1
        if watch.steps == steps: os.kill(os.getpid(), signum)
    watch.steps = 0
    return watch


def contents(path):
    "Everything that a reader gets from a .model or a .checkpoint"
    if Path(path).suffix == '.model': return part('read_file')(path)
    return part('read_checkpoint')(path)


def differences(a, b, path='')->list:
    "Where two contents differ, to the bit"
    import torch
    if isinstance(a, dict) and isinstance(b, dict):
        missing = [f'{path}.{k}' for k in a.keys() ^ b.keys()]
        return missing + [d for k in a.keys() & b.keys() for d in differences(a[k], b[k], f'{path}.{k}')]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        if a.dtype != b.dtype or a.shape != b.shape: return [path]
        return [] if torch.equal(*(t.contiguous().reshape(-1).view(torch.uint8) for t in (a, b))) else [path]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return [d for i, (u, v) in enumerate(zip(a, b)) for d in differences(u, v, f'{path}[{i}]')]
    return [] if type(a) is type(b) and (a == b or a != a and b != b) else [path]


def run_differences(run, other)->list:
    "Where the newest checkpoints of two runs differ, but for the clock and the name"
    a, b = (contents(Path(folder) / f'{Path(folder).name}.checkpoint') for folder in (run, other))
    for content in (a, b):
        content['progress'].pop('seconds', None)
        for key in ('digest', 'sha256'): content.pop(key, None)
    return differences(a, b)


def official(model)->dict:
    "An official checkpoint of the same weights"
    weights, args = part('to_official')(model)
    return dict(state_dict=weights, args=args, arch_instance='res_mbconv', epoch=1)


def board(kind):
    "The class of a board"
    return getattr(importlib.import_module(f'nvae.boards.{kind}'), f'{kind.title()}Board')


def parts_of(widget):
    "A widget and all that is in it"
    yield widget
    for child in getattr(widget, 'children', ()): yield from parts_of(child)


def picks_file(model_file, folder)->Path:
    "Two picks of a model, as the board keeps them"
    studio = part('Studio')(folder)
    studio.load(model_file)
    picks = part('Picks')(studio)
    recipe = part('Recipe')(seed=3, n=4, temperature=.7, iterations=1)
    images = part('draw_all')(studio.model, [recipe])
    drawing = part('Drawing')(images, [recipe])
    for index in (1, 2): picks.add(part('as_pick')(drawing, index))
    return picks.path

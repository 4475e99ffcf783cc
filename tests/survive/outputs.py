"Outputs: what stood in a folder before a command is there after it, unless the command was told to replace it"
import os
import shutil
import stat
from pathlib import Path

from . import kit
from .common import Case, Verdict, changed, command, snapshot

PICTURES = {  # verb: its arguments; the first that are files are its inputs
    'sample': ('sample', 'm.model', '0.7', '0', '--n', '2'),
    'sample --like': ('sample', '--like', 'x.png', 'm.model'),
    'sample --sweep': ('sample', 'm.model', '--sweep', '0.5,0.7', '--n', '2'),
    'reconstruct': ('reconstruct', 'm.model', 'a.png'),
    'restore': ('restore', 'm.model', 'a.png', '--mask', 'mask.png'),
    'interpolate': ('interpolate', 'm.model', 'a.png', 'b.png', '2'),
    'mix': ('mix', 'm.model', 'a.png', 'b.png'),
    'explore': ('explore', 'm.model', '0.7', '0', '--n', '2', '--group', '0'),
}
MODELS = {'export': ('export', 'm.checkpoint'), 'import': ('import', 'official.pt')}
INPUTS = ('m.model', 'x.png', 'a.png', 'b.png', 'mask.png', 'm.checkpoint', 'official.pt')
MADE_UP = {  # the name that a verb makes up
    'sample': 'm-t0.7-seed0.png', 'sample --like': 'x-again.png', 'sample --sweep': 'm-t0.5-0.7-seed0.png',
    'reconstruct': 'a-reconstructed.png', 'restore': 'a-restored.png', 'interpolate': 'a-b.png', 'mix': 'a-and-b.png',
    'explore': 'm-explore-t0.7-seed0.png'}
TARGETS = ('foreign.model', 'foreign.checkpoint', 'foreign.yaml', 'foreign.txt', 'foreign.pt', 'folder', 'null',
           'pipe',
           'socket', 'link', 'link-to-input', 'link-to-nowhere', 'link-to-null', 'link-to-pipe', 'new.jpg',
           'new.webp',
           'new.model', 'new.png', '.', '', 'x' * 300 + '.png', '~nosuchuser/p.png', 'nowhere/new.png', 'folder/',
           '..', 'bad-\udcff.png', 'M.MODEL', './m.model', 'folder/../a.png', 'new', 'new.PNG')

LINKS = {'link': 'linked.txt', 'link-to-input': 'm.model', 'link-to-nowhere': 'nowhere.png', 'link-to-null': 'null',
         'link-to-pipe': 'pipe'}


def cases(rng):
    "Every verb with every target, in an order that depends on the seed"
    every = [(verb, target) for verb in (*PICTURES, *MODELS) for target in (*INPUTS, *TARGETS)]
    every += [(verb, 'made up') for verb in MADE_UP] + [('train',
                                                         how) for how in ('no checkpoints', 'foreign folder')]
    rng.shuffle(every)
    for verb, target in every: yield Case(f'{verb} onto {target[:40]!a}', dict(verb=verb, target=target))


def judge(case, given):
    "Run it in a folder full of things, and compare the folder"
    verb, target = case.data['verb'], case.data['target']
    if verb == 'train': return _train(target, given)
    _furnish(given)
    args = list(PICTURES.get(verb) or MODELS[verb])
    if target == 'made up':
        Path(MADE_UP[verb]).write_bytes(b'mine')
    else:
        args += ['--out', target] if verb in PICTURES else [target]
    before = snapshot('.')
    verdict = command(*args)
    lost = _lost(verb, target, before, snapshot('.'))
    kind = 'a picture' if verb in PICTURES else 'a model'
    if lost: return Verdict('lost', f'{kind} replaced {lost}; {verdict.words}')
    if verdict.result != 'fine': return verdict
    wrong = _of_right_kind(target) if verb in PICTURES else None
    return wrong or _not_left_over(before) or verdict


def _furnish(given):
    "Inputs, foreign files, devices, links"
    for name in INPUTS: shutil.copy(given / name, name)
    for name in ('foreign.model', 'foreign.checkpoint', 'foreign.yaml', 'foreign.txt', 'foreign.pt', 'linked.txt'):
        Path(name).write_text(f'{name} of somebody\n')
    Path('folder').mkdir()
    os.mkfifo('pipe')
    if os.geteuid() == 0: os.mknod('null', 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod('socket', 0o666 | stat.S_IFSOCK)
    for name, to in LINKS.items(): os.symlink(to, name)


def _lost(verb, target, before, after)->list:
    "What is no longer what it was; a picture may replace a picture or a text, a model a model, where it is named"
    named = os.path.normpath(target or '.')
    named = LINKS.get(named, named)
    is_input = named in (PICTURES.get(verb) or MODELS[verb])
    may_replace = ('.png', '.txt') if verb in PICTURES else ('.model',)
    may = not is_input and Path(named).suffix in may_replace
    return [name for name in changed(before, after) if not (may and name == named)]


def _of_right_kind(target):
    "A file called .jpg or .webp is one"
    begins = {'.jpg': b'\xff\xd8', '.webp': b'RIFF'}
    path = Path(target or '.')
    if path.suffix not in begins or not path.is_file() or path.read_bytes().startswith(begins[path.suffix]): return None
    return Verdict('unsaid', f'{target} is no {path.suffix[1:]}', 'format')


def _not_left_over(before):
    left = [str(path) for path in Path('.').rglob('*.tmp*') if str(path) not in before]
    return Verdict('unsaid', f'left over: {left}', 'left over') if left else None


def _train(how, given):
    "A trained run whose checkpoints are gone, or a folder of somebody else's in its place"
    run = Path('runs/small')
    if how == 'no checkpoints':
        shutil.copytree(given / 'whole/small', run)
        for path in run.glob('*.checkpoint'): path.unlink()
    else:
        run.mkdir(parents=True)
        for name in ('config.yaml', 'small.model', 'metrics.jsonl', 'status.json'): (run / name).write_text('mine')
    kept = {name: entry for name, entry in snapshot('.').items() if name.endswith(('.model', 'metrics.jsonl'))}
    try:
        kit.train(kit.config(), 'runs')
    except kit.BadInput as error:
        words = str(error)
    else:
        words = 'trained anew'
    lost = changed(kept, snapshot('.'))
    return Verdict('lost', f'{lost} replaced; {words}', 'fit') if lost else Verdict('fine', words)

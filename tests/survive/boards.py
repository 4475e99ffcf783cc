"Boards, driven as a page and a person drive them: whatever is done, a board says what is wrong and comes back"
import itertools
import json
import logging
import os
import random
import shutil
from pathlib import Path

from . import kit
from .common import FINE, Case, Verdict, of_exception

KINDS = ('sample', 'cherry', 'explore', 'interpolate', 'step')
OPERATIONS = 50  # of a case; ten cases of a board are five hundred
NO_CONTROL = (None, [], {}, '', 'x', -1, 1.5, 2**70, float('nan'), float('inf'), True, (1, 2), '\0', 'x' * 10**4)
VALUES = {
    'temperature': (.5, 0, 2, [.5, .6], (.7, .8), [], '0.5', [.5] * 3, [.5, 3], [[.5]], ['x'], -.1, 2.1),
    'seed': (0, 1, 2**31 - 1, 2**31, -1, '3', 2**63), 'n': (1, 2, 3, 4, 0, 101, '3'),
    'iterations': (0, 1, 2, -1, 501, '1'), 'show': ('samples', 'temperatures', 'BatchNorm', 'variants', 'walk',
                                                    'one way', 'all four ways', 'nothing'),
    'pixels': ('mean', 'sample', 'x'), 'start': ('a sample', 'an image', 'two images', 'x'),
    'groups': (0, '1', 'scale 0', ['0'], ['scale 1', 0], 9, 1.5, [None], 'scale', ['0'] * 99),
    'place': ('', '3,4', '15,15', '99,99', '-1,0', 'x', '1,', '9' * 400 + ',1', '1;1', '\0'),
    'strength': (0, 1, 5, 6, -1, '1'), 'fresh': (0, 5, -1), 'difference': (0., 1., 8., 3.),
    'ending': ('.webp', '.gif', '.mp4'), 'sampled': (True, False, 'x'), 'n_coarse': (0, 1, 2, 9),
    'space': ('z', 'noise', 'x'), 'path': ('linear', 'spherical', 'x'), 'wanted': (1, 2, 9, 0, 101),
    'step': (0, 1, 10**6, -1), 'a': (), 'b': (), 'image': (), 'file': ()}
PLACES = ('', 'pick 1', 'pick 0', 'pick ²', 'pick 99999', 'pick x', 'dropped x', 'a.png', 'photos', '~nosuchuser/a.png',
          'x' * 300, 'x/' * 3000, '\0', 'bad-\udcff.png', '.', '/dev/null', 'pipe', 'text.txt', '\x1b[31m')
FILES = (*('small', 'other', 'runs/small/small.model', 'runs/other/other.model') * 4, 'gone.model', 'text.txt',
         'photos', '', ' ', '\0', '~nosuchuser/m.model', 'x' * 300, 'half.model', 'pipe')
OUTPUTS = (None, 'new.png', 'deep/er/new.png', '', '.', '~nosuchuser/n.png', 'x' * 300 + '.png', '\0', 'photos',
           'a.txt', 'runs/small/small.model', 'text.txt')


def cases(rng):
    "So many operations on each board in turn"
    for number in itertools.count():
        kind = KINDS[number % len(KINDS)]
        seed = rng.randrange(10**9)
        yield Case(f'{kind}, {OPERATIONS} operations of seed {seed}', dict(kind=kind, seed=seed, n=OPERATIONS))


def pieces(case):
    "What can be left out: numbers of operations"
    return list(range(case.data['n']))


def with_pieces(case, kept):
    return Case(f'{case.what}, only {kept}', dict(case.data, only=kept))


def judge(case, given):
    "Operation after operation; then everything is put back, and it must draw"
    kind, only = case.data['kind'], case.data.get('only')
    _furnish(given)
    mistakes = _listen()
    board = kit.board(kind)('small', iterations=0, n=2, runs='runs')
    board.wait()
    driver = Driver(board)
    whole = board.values()
    for number in range(case.data['n']):
        rng = random.Random(f'{case.data["seed"]}/{number}')
        if only is not None and number not in only: continue
        verdict = driver.take(rng, number) or _mistake(mistakes, driver)
        if verdict: return verdict
    return _comes_back(board, whole, driver) or _mistake(mistakes, driver) or FINE


def _furnish(given):
    "Two models, pictures, files that are neither"
    for name in ('small', 'other'): Path('runs', name).mkdir(parents=True)
    shutil.copy(given / 'm.model', 'runs/small/small.model')
    other = kit.config('other', model=dict(n_scales=1, n_groups=2))
    kit.save(kit.NVAE(other), 'runs/other/other.model')
    shutil.copy(given / 'a.png', 'a.png')
    shutil.copytree(given / 'photos', 'photos')
    Path('text.txt').write_text('of somebody')
    Path('half.model').write_bytes((given / 'm.model').read_bytes()[:5000])
    os.mkfifo('pipe')


def _listen():
    "What the boards call mistakes in the program"
    class Kept(logging.Handler):
        def emit(self, record): mistakes.append(record.exc_info[1])
    mistakes = []
    logging.getLogger('nvae.boards').addHandler(Kept())
    return mistakes


def _mistake(mistakes, driver):
    if not mistakes: return None
    return of_exception(mistakes[0])._replace(words=f'{mistakes[0]!r} after {driver.done[-6:]}'[-900:])


def _comes_back(board, whole, driver):
    "With the files and the values of the beginning it draws again"
    for path in Path('runs/small').glob('picks*'): driver.put_back(path)
    driver.put_back(Path('runs/small/small.model'))
    try:
        board.newest.wait(10**6)
        board.set(**{**whole, 'file': 'runs/small/small.model'})
        board.newest.wait(10**6)
        board.reload()
        board.wait(10**6)
        board.set(**{name: value for name, value in whole.items() if name not in ('file', 'step')})
        if 'seed' in board.controls: board.set(seed=123)
        board.wait(10**6)
    except kit.BadInput as error:
        return Verdict('unsaid', f'does not come back: {error}; after {driver.done[-6:]}', 'board')
    if not driver.board.drawn: return Verdict('unsaid', 'shows nothing', 'board')
    return driver.lost()


class Driver:
    "Does at random what a page or a person can do to a board"
    def __init__(self, board):
        self.board, self.done, self.second = board, [], None
        self.model = Path('runs/small/small.model').read_bytes()
        self.spoilt = False  # did an operation touch the picks' file?
        self.ways = [getattr(self, name) for name in dir(self) if name.startswith('do_')]

    def take(self, rng, number):
        "One operation, and sometimes the wait for its picture; None where all is well"
        way = rng.choice(self.ways)
        self.done.append(f'{number} {way.__name__[3:]}')
        try:
            way(rng)
            if rng.random() < .6: self.board.newest.wait(10**6)
        except kit.BadInput:
            if way.__name__ in ('do_set', 'do_save', 'do_set_wild'): return None
            return Verdict('unsaid', f'an event raised BadInput: {self.done[-6:]}', 'board')
        except Exception as error:
            return of_exception(error)._replace(words=f'{type(error).__name__}: {error}; {self.done[-6:]}'[:900])
        return None

    def tell(self, what):
        self.done[-1] += f' {what!a}'[:120]

    def value_for(self, rng, name):
        if name == 'file': return rng.choice(FILES)
        return rng.choice(VALUES.get(name) or PLACES)

    def do_set(self, rng):
        "From code, one to three controls"
        names = rng.sample(sorted(self.board.controls), rng.choice((1, 1, 2, 3)))
        values = {name: self.value_for(rng, name) for name in names}
        self.tell(values)
        self.board.set(**values)

    def do_set_wild(self, rng):
        "From code, what no control takes"
        values = {rng.choice([*self.board.controls, 'sampeld']): rng.choice(NO_CONTROL)}
        self.tell(values)
        self.board.set(**values)

    def do_page(self, rng):
        "The page changes a control's value"
        controls = [part for part in kit.parts_of(self.board) if hasattr(part, 'set_state')]
        sliders = [c for c in controls if type(c).__name__ in ('FloatSlider', 'IntSlider', 'BoundedIntText')]
        texts = [c for c in controls if type(c).__name__ in ('Text', 'Combobox')]
        menus = [c for c in controls if type(c).__name__ in ('Dropdown', 'ToggleButtons')]
        kind = rng.choice(('slider', 'text', 'menu', 'switch'))
        if kind == 'slider':
            control = rng.choice(sliders)
            most = min(control.max, 3) if 'passes' in (control.tooltip or '') else min(control.max, control.min + 5)
            value = rng.choice((control.min, most, (control.min + most) / 2))
            state = dict(value=value if 'Float' in type(control).__name__ else int(value))
        elif kind == 'text':
            control, state = rng.choice(texts), dict(value=rng.choice((*PLACES, *FILES, '3,4', '99,1')))
        elif kind == 'menu':
            control = rng.choice(menus)
            state = dict(index=rng.randrange(len(control.options)))
        else:
            switches = [c for c in controls if type(c).__name__ == 'ToggleButton' and not c.disabled]
            if not switches: return
            control = rng.choice(switches)
            state = dict(value=not control.value)
        self.tell((type(control).__name__, control.description, state))
        control.set_state(state)

    def do_button(self, rng):
        buttons = [part for part in kit.parts_of(self.board) if type(part).__name__ == 'Button' and not part.disabled]
        button = rng.choice(buttons)
        if button.description.startswith('Who') and rng.random() < .95: return
        self.tell(button.description)
        button.click()

    def do_key(self, rng):
        name = rng.choice(sorted(set(self.board.hotkeys.values())))
        self.tell(name)
        self.board.grid.act(name, serial=self.board.grid.serial)

    def do_pick(self, rng):
        "A click on a tile of the newest picture, or of one that has gone"
        index = rng.choice((0, 1, 1, 7, 99))
        serial = self.board.grid.serial - rng.choice((0, 0, 1, 50))
        x, y = (rng.choice((0., .3, .999, 1.)) for _ in range(2))
        self.tell((index, x, y))
        self.board.grid.act('pick', index=index, serial=serial, x=x, y=y)

    def do_tray(self, rng):
        tray = getattr(self.board, 'tray', None)
        if tray is None: return
        event = rng.choice(('move', 'remove', 'undo'))
        details = dict(move=dict(start=rng.randrange(4), to=rng.randrange(4)), remove=dict(index=rng.randrange(5)))
        self.tell(event)
        tray.act(event, **details.get(event, {}))

    def do_drop(self, rng):
        "A file falls on a place for an image"
        sources = getattr(self.board, 'sources', ())
        if not sources: return
        whole = Path('a.png').read_bytes()
        data = rng.choice((whole, whole, whole[:300], b'', b'notes', Path('half.model').read_bytes(), whole[:-20]))
        name = rng.choice(('a.png', 'ä ö.png', '', '<b>x</b>', 'x' * 300))
        size = rng.choice((len(data), len(data), 10**9))
        self.tell((name, len(data), size))
        rng.choice(sources).grid.act('file', name=name, data=data, size=size)

    def do_save(self, rng):
        path = rng.choice(OUTPUTS)
        self.tell(path)
        self.board.save(path)

    def do_reload(self, rng): self.board.reload()
    def do_back(self, rng): self.board.back()
    def do_forward(self, rng): self.board.forward()

    def do_second(self, rng):
        "Another board picks from the same model"
        if self.second is None: self.second = kit.board('cherry')('small', iterations=0, n=2, runs='runs')
        self.second.newest.wait(10**6)
        self.second.grid.act('pick', index=rng.randrange(2), serial=self.second.grid.serial)

    def do_model(self, rng):
        "The model's file is deleted, cut, another, or there again"
        path = Path('runs/small/small.model')
        how = rng.choice(('gone', 'cut', 'another', 'there', 'there'))
        self.tell(how)
        if how == 'gone': path.unlink(missing_ok=True)
        if how == 'cut': path.write_bytes(self.model[:len(self.model) // 2])
        if how == 'another': shutil.copy('runs/other/other.model', path)
        if how == 'there': path.write_bytes(self.model)

    def do_spoil_picks(self, rng):
        "The file of picks is damaged"
        found = sorted(Path('runs').rglob('picks/*.json'))
        if not found or rng.random() < .7: return
        content = found[0].read_bytes()
        damaged = rng.choice((b'', b'{', b'[]', content[:len(content) // 2], content.replace(b'png', b'pgn'),
                              content.replace(b'"seed"', b'"sedd"'), b'\xff' + content))
        self.tell(damaged[:20])
        self.spoilt = True
        self.put_back = self._remove_spoilt
        found[0].write_bytes(damaged)

    def put_back(self, path):
        "As it was at the beginning"
        if path.name == 'small.model': path.write_bytes(self.model)

    def _remove_spoilt(self, path):
        if path.is_dir(): shutil.rmtree(path)
        else: path.write_bytes(self.model)

    def lost(self):
        "What should be there after all"
        if Path('text.txt').read_bytes() != b'of somebody' and not any('text.txt' in done for done in self.done):
            return Verdict('lost', 'a text of somebody was replaced', 'board')
        if self.board.kind != 'cherry' or self.spoilt: return None
        files = Path('runs/small/picks').glob('*.json')
        held = [len(json.loads(path.read_text())['picks']) for path in files]
        kept = len(self.board.picks.items)
        if kept and kept not in held: return Verdict('lost', f'{kept} picks are shown, files hold {held}', 'picks')
        return None

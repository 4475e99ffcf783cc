"Disks of a few MB that fill up, lack inodes, become read-only, and folders that go: said in words, nothing lost"
import contextlib
import ctypes
import json
import os
import shutil
import subprocess
from pathlib import Path

from . import endings, kit
from .common import FINE, Case, Verdict, changed, has_leftovers, of_command, of_exception, snapshot
from .kills import disturb

DISKS = ('full', 'no inodes', 'read-only')
GONE = ('its folder deleted', 'the folder of runs deleted', 'its folder renamed')
WORK = ('fit', 'fit', 'fit', 'export', 'import', 'sample', 'cache', 'board')
UNFIT = dict.fromkeys(('read-only', 'no inodes', 'gone'), 'free some space')
PRIVATE, RECURSIVE, NAMESPACE = 1 << 18, 1 << 14, 0x20000  # of mount(2) and unshare(2)


def cases(rng):
    "The whole command on each disk, in the order of the seed, then every kind of work with other sizes and moments"
    first = [dict(work='export', disk='full', room=8, step=0), dict(work='cache', disk='full', room=4, step=0),
             dict(work='fit', disk='full', room=60, step=2), dict(work='sample', disk='read-only', room=0, step=0),
             dict(work='fit', disk=GONE[0], room=0, step=3), dict(work='fit', disk='no inodes', room=1, step=2)]
    first += [dict(work='train', disk=disk, room=40, step=step) for disk in (*DISKS, GONE[0]) for step in (0, 3)]
    for data in first: yield _case(data)
    while True:
        work = rng.choice(WORK)
        disk = rng.choice((*DISKS, *GONE) if work == 'fit' else DISKS)
        room = rng.randrange(6) if disk == 'no inodes' else rng.choice((0, 4, 20, 60, 150, 300, 600, 1000))
        yield _case(dict(work=work, disk=disk, room=room, step=rng.randrange(10)))


def _case(data):
    moment = f', from step {data["step"]}' if data['work'] in ('fit', 'train') else ''
    room = {'full': f', {data["room"]} kB left', 'no inodes': f', {data["room"]} left'}.get(data['disk'], '')
    return Case(f'{data["work"]}: {data["disk"]}{room}{moment}', data)


def judge(case, given):
    "On a disk of its own where that may be mounted, else with the fault in whoever writes"
    disk = Disk(case.data['disk'], case.data['room'])
    work = dict(fit=_fit, train=_train, cache=_cache, board=_board).get(case.data['work'], _command)
    verdict = work(case, given, disk)
    return verdict if disk.is_mounted else verdict._replace(words=f'(injected) {verdict.words}')


class Disk:
    "A file system of 24 MB at ./disk, on which room can be taken and given back"
    def __init__(self, kind, room):
        self.kind, self.room = kind, room
        self.fillers, self.at = [], Path('disk')
        self.at.mkdir()
        self.is_mounted = kind in GONE or _mount(self.at)

    def spoil(self):
        "Make it so, from now on"
        if not self.is_mounted: return disturb('disk', 0, 'EROFS' if self.kind == 'read-only' else 'ENOSPC')
        if self.kind == 'full': self._fill()
        if self.kind == 'no inodes': self._use_inodes()
        if self.kind == 'read-only': self._forbid()
        if self.kind == GONE[0]: _delete(self.at / 'runs/small')
        if self.kind == GONE[1]: _delete(self.at / 'runs')
        if self.kind == GONE[2]: os.rename(self.at / 'runs/small', self.at / 'runs/moved')

    def _forbid(self):
        "Read-only for whoever opens a file from now on; the disk itself can't be, while files are open for writing"
        subprocess.run(['mount', '--bind', self.at, self.at], check=True)
        subprocess.run(['mount', '-o', 'remount,bind,ro', self.at], check=True)

    def _fill(self):
        filler = self.at / '.filler'
        with open(filler, 'wb') as file:
            free = os.statvfs(self.at).f_bavail * os.statvfs(self.at).f_frsize
            os.posix_fallocate(file.fileno(), 0, max(1, free - (self.room << 10)))

    def _use_inodes(self):
        n = os.statvfs(self.at).f_ffree - self.room - 1
        (self.at / '.fillers').mkdir()
        for number in range(max(0, n)): (self.at / f'.fillers/{number}').touch()

    def mend(self):
        "Room again"
        if not self.is_mounted: return
        if self.kind == 'read-only': subprocess.run(['umount', '--lazy', self.at], check=True)
        (self.at / '.filler').unlink(missing_ok=True)
        shutil.rmtree(self.at / '.fillers', ignore_errors=True)
        if (self.at / 'runs/moved').exists():
            shutil.rmtree(self.at / 'runs/small', ignore_errors=True)
            os.rename(self.at / 'runs/moved', self.at / 'runs/small')


def _delete(folder):
    "All of it, though somebody goes on writing there"
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists(): return


def _mount(folder):
    "Whether a file system could be mounted there, for this process and its children alone"
    if os.environ.get('SURVIVE_NO_MOUNT'): return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NAMESPACE) or libc.mount(b'none', b'/', None, PRIVATE | RECURSIVE, None): return False
    options = 'size=24m,nr_inodes=400'
    return subprocess.run(['mount', '-t', 'tmpfs', '-o', options, 'none', folder], capture_output=True).returncode == 0


def _words_fit(disk, words, checkpoint):
    "None where they do"
    unfit = UNFIT.get('gone' if disk.kind in GONE else disk.kind)
    if disk.kind == 'no inodes' and not disk.is_mounted: unfit = None  # an injected fault leaves the count of inodes
    if unfit and unfit in words: return Verdict('unsaid', f'words that do not fit {disk.kind}: {words}', 'words')
    if 'is whole' in words and not checkpoint.exists():
        return Verdict('unsaid', f'a checkpoint that is not there is called whole: {words}', 'words')


def _readable(run):
    "Every checkpoint, and status.json where there is one"
    for path in run.glob('*.checkpoint'):
        try:
            kit.contents(path)
        except Exception as error:
            return of_exception(error)._replace(result='lost')
    is_there = (run / 'status.json').exists()
    return Verdict('lost', 'status.json is damaged', 'fit') if is_there and not endings.status(run) else None


def _fit(case, given, disk):
    "Train on it; then, with room again, to the same end"
    cfg, runs, step = kit.config(), disk.at / 'runs', case.data['step']
    def watch(status, records, last=False):
        watch.steps += 1
        if watch.steps == step: disk.spoil()
    watch.steps = 0
    def work():
        if step == 0: _spoil_begun(disk, runs)
        return kit.train(cfg, runs, watch=watch)[1]
    how, words = endings.in_process(work)
    if not endings.is_told(how, words): return Verdict('raw', words, 'fit')
    run = runs / 'small'
    verdict = how == 'raised' and _words_fit(disk, words, run / 'small.checkpoint') or _readable(run)
    if verdict: return verdict
    disk.mend()
    return endings.ends_the_same(cfg, endings.whole(given), runs)


def _spoil_begun(disk, runs):
    "Before anything, but folders that are to go are there"
    if disk.kind in GONE: (runs / 'small').mkdir(parents=True)
    disk.spoil()


def _train(case, given, disk):
    "`nvae train` as a person types it"
    other, step, run = endings.whole_drawn(given), case.data['step'], disk.at / 'runs/small'
    line = ('train', 'small.yaml', '--runs', disk.at / 'runs')
    if not disk.is_mounted: return Verdict('fine', 'a kernel cannot be given a fault')
    if step == 0: _spoil_begun(disk, disk.at / 'runs')
    process = endings.start(*line)
    if step: endings.wait_until(lambda: endings.status(run).get('step', 0) >= step, process) and disk.spoil()
    said = endings.ended(process)
    words = (said.out + said.err)[-600:]
    verdict = endings.is_told_by(said) or said.code and _words_fit(disk, words, run / 'small.checkpoint')
    verdict = verdict or _readable(run) or _notebook(run)
    if verdict: return verdict
    disk.mend()
    said = endings.ended(endings.start(*line))
    if said.code: return Verdict('raw', f'does not go on: {(said.out + said.err)[-600:]}', 'train')
    return endings.same_end(run, other)


def _notebook(run):
    "Whole, where it is there"
    path = run / 'train.ipynb'
    try:
        if path.exists(): json.loads(path.read_text())
    except ValueError as error:
        return Verdict('lost', f'the notebook is cut: {error}', 'train')


def _cache(case, given, disk):
    "Images of a folder, whose decoded copies have no room"
    cfg = kit.config(data=dict(dataset='folder', root=str(given / 'photos')), batch_size=4)
    whole = _batches(cfg)
    os.environ['NVAE_CACHE'] = str(disk.at / 'cache')
    def work():
        disk.spoil()
        return kit.differences(_batches(cfg), whole)
    how, words = endings.in_process(work)
    if not endings.is_told(how, words): return Verdict('raw', words, 'cache')
    if how == 'ended' and words != '[]': return Verdict('unsaid', f'other images: {words}', 'cache')
    verdict = how == 'raised' and _words_fit(disk, words, disk.at)
    if verdict: return verdict
    disk.mend()
    differing = kit.differences(_batches(cfg), whole)
    return Verdict('unsaid', f'other images: {differing}', 'cache') if differing else has_leftovers(disk.at) or FINE


def _batches(cfg):
    loaders = kit.dataloaders(cfg, progress=False)
    return [batch.clone() for split in (loaders.train, loaders.test) for batch in split.batches()]


def _board(case, given, disk):
    "A board that keeps picks"
    home = disk.at / 'runs/small'
    home.mkdir(parents=True)
    shutil.copy(given / 'm.model', home / 'small.model')
    def work():
        board = kit.board('cherry')('small', iterations=0, n=4, runs=disk.at / 'runs').wait()
        board.grid.act('pick', index=0, serial=board.grid.serial)
        disk.spoil()
        for index in (1, 2): board.grid.act('pick', index=index, serial=board.grid.serial)
        board.attempt(board.save)
        return f'{board.note.look}: {board.note.text}'
    how, words = endings.in_process(work)
    if not endings.is_told(how, words): return Verdict('raw', words, 'board')
    if 'Error' in words: return Verdict('raw', words, 'board')
    held = [json.loads(path.read_text()) for path in home.glob('picks/*.json')]
    if not held or not held[0]['picks']: return Verdict('lost', f'a pick that was made: {words}', 'picks')
    disk.mend()
    return has_leftovers(disk.at) or Verdict('fine', words)


def _command(case, given, disk):
    "A file that a person asked for; there was one before"
    work = case.data['work']
    name = 'out.png' if work == 'sample' else 'out.model'
    out = disk.at / name
    shutil.copy(given / ('x.png' if work == 'sample' else 'm.model'), out)
    line = dict(export=('export', given / 'm.checkpoint', out), sample=('sample', given / 'm.model', .7, 0, '--n', 2,
                                                                        '--out', out))
    line['import'] = ('import', given / 'official.pt', out)
    before = snapshot(disk.at)
    def work_on():
        disk.spoil()
        return json.dumps(kit.nvae(*line[work]))
    how, words = endings.in_process(work_on)
    if how != 'ended': return Verdict('raw', words, work)
    said = kit.Said(*json.loads(words))
    verdict = of_command(said)
    if verdict.result != 'fine': return verdict
    disk.mend()
    if said.code and changed(before, snapshot(disk.at)): return Verdict('lost', f'the file before: {said.err}', work)
    verdict = said.code and _words_fit(disk, said.err, disk.at)
    with contextlib.suppress(FileNotFoundError): (disk.at / '.filler').unlink()
    return verdict or has_leftovers(disk.at) or Verdict('fine', said.err.strip())

"A training that is killed, stopped, or fails at any of its operations on files goes on to the same end, to the bit"
import errno
import os
import pty
import random
import signal
import sys
from pathlib import Path

from . import endings, kit
from .common import Case, Verdict
from .endings import VARIANTS, ends_the_same, in_process, train, whole

FAILURES = ('ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EACCES')
CHANGES = ('os.rename', 'os.remove', 'os.mkdir', 'os.rmdir', 'os.truncate', 'os.chmod', 'os.link', 'os.symlink')
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
TERMINALS = ('a closed terminal', 'a closed terminal, nohup')
UNFIT = {'EROFS': 'free some space', 'EIO': 'free some space', 'EACCES': 'free some space'}


def cases(rng):
    "Signals and terminals, then kills and failures before the n-th operation on a file, and at random moments"
    for name in ('SIGTERM', 'SIGINT', 'SIGHUP'):
        yield Case(name, dict(kind='signal', name=name, ignored=False))
    yield Case('SIGHUP that is ignored', dict(kind='signal', name='SIGHUP', ignored=True))
    for how in TERMINALS: yield Case(how, dict(kind='terminal', how=how))
    while True:
        variant = rng.choice(list(VARIANTS))
        kind = rng.choice(('killed before', 'killed before', 'fails before', 'killed at random'))
        n, fault = rng.randrange(1, 320), rng.choice(FAILURES)
        where = {'killed before': f'operation {n}', 'fails before': f'operation {n}, {fault}'}.get(kind, f'{n}')
        yield Case(f'{variant}, {kind} {where}', dict(kind=kind, variant=variant, n=n, fault=fault))


def judge(case, given):
    "The judged processes are forked from this one"
    kind = case.data['kind']
    if kind == 'signal': return _signalled(case.data['name'], case.data['ignored'], given)
    if kind == 'terminal': return _closed('nohup' in case.data['how'], given)
    variant, n = case.data['variant'], case.data['n']
    cfg, other = kit.config(**VARIANTS[variant]), whole(given, variant)
    if kind == 'killed at random': return _killed_at_random(cfg, n, other)
    fault = case.data['fault'] if kind == 'fails before' else None
    how, words = in_process(_disturbed, cfg, n, fault)
    if not endings.is_told(how, words): return Verdict('raw', words, 'fit')
    if how == 'raised' and UNFIT.get(fault, '\0') in words:
        return Verdict('unsaid', f'words that do not fit {fault}: {words}', 'fit')
    return ends_the_same(cfg, other)


def _disturbed(cfg, n, fault):
    disturb('parts', n, fault)
    return train(cfg, 'parts')


def disturb(folder, n, fault=None):
    "Before the n-th operation that changes a file of this folder, be killed, or fail for that reason from there on"
    counted = iter(range(n))
    def before(path):
        is_own = isinstance(path, int) or folder in os.fsdecode(path)
        if is_own and next(counted, None) is None: _fail(fault, path)
    def hook(event, args):
        is_change = event in CHANGES or event == 'open' and isinstance(args[2], int) and args[2] & WRITING
        if is_change and isinstance(args[0], (str, bytes, os.PathLike)): before(args[0])
    def synced(file, sync=os.fsync):
        before(file if isinstance(file, int) else file.fileno())
        return sync(file)
    sys.addaudithook(hook)
    os.fsync = synced


def _fail(fault, path):
    if fault is None: os.kill(os.getpid(), signal.SIGKILL)
    code = getattr(errno, fault)
    raise OSError(code, os.strerror(code), None if isinstance(path, int) else path)


def _killed_at_random(cfg, seed, other):
    "Three times"
    rng = random.Random(seed)
    for _ in range(3): endings.killed_after(rng.uniform(.05, 1.2), train, cfg, 'parts')
    return ends_the_same(cfg, other)


def _signalled(name, ignored, given):
    "After the fourth step: a checkpoint, a status, and the same end; ignored before, it stays ignored"
    signum, cfg = getattr(signal, name), kit.config()
    def work():
        signal.signal(signum, signal.SIG_IGN if ignored else signal.SIG_DFL)
        return kit.train(cfg, 'parts', watch=kit.stop_after(4, signum))[1]
    return _stopped_or_not(in_process(work), signum, ignored, cfg, given)


def _stopped_or_not(told, signum, ignored, cfg, given):
    "A checkpoint, a status that says so, and the same end"
    (how, words), status = told, endings.status('parts/small')
    expected = ('ended', 'done') if ignored else ('raised', 'interrupted')
    if (how, status.get('state')) != expected:
        return Verdict('unsaid', f'{how}, status {status.get("state")}: {words[-200:]}', 'signals')
    if not ignored and status.get('signum') not in (None, signum):
        return Verdict('unsaid', f'stopped by {status["signum"]}, not {signum}', 'signals')
    return ends_the_same(cfg, whole(given))


def _closed(is_nohup, given):
    "A terminal is closed while a run is trained in it"
    cfg = kit.config()
    pid, master = pty.fork()
    if not pid: _in_terminal(cfg, is_nohup)
    endings.wait_until(lambda: Path('begun').exists() or Path('told').exists())
    os.close(master)
    os.waitpid(pid, 0)
    told = Path('told').read_text().partition(': ') if Path('told').exists() else ('killed', '', '')
    return _stopped_or_not((told[0], told[2]), signal.SIGHUP, is_nohup, cfg, given)


def _in_terminal(cfg, is_nohup):
    "Never returns"
    def watch(status, records, last=False):
        watch.steps += 1
        if watch.steps == 3: Path('begun').touch()
    watch.steps = 0
    signal.signal(signal.SIGHUP, signal.SIG_IGN if is_nohup else signal.SIG_DFL)
    if is_nohup: _to_file()
    try:
        kit.train(cfg, 'parts', watch=watch)
        Path('told').write_text('ended: ')
    except BaseException as error:
        Path('told').write_text(f'raised: {type(error).__name__}: {error}')
    finally:
        os._exit(0)


def _to_file():
    "What nohup does with a terminal's output"
    file = os.open('nohup.out', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2): os.dup2(file, number)

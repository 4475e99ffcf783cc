"A training that is killed, stopped, or loses its disk goes on to the same end, to the bit; a run has one writer"
import errno
import fcntl
import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

from . import kit
from .common import FINE, Case, Verdict

VARIANTS = {'plain': {}, 'accumulated': dict(accumulate=2), 'no average': dict(ema_decay=0, checkpoint_images=24),
            'two per epoch': dict(eval_every=.5),
            'clipped': dict(grad_clip=5., bn_lambda=.05)}
FAILURES = ('ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EACCES', 'ENOENT')
OPERATIONS = ('replace', 'rename', 'fsync', 'unlink', 'mkdir')  # of `os`, through which every writer goes
STARTS = ('two at once', 'beside a reader', 'a lock deleted by hand', 'two beside a reader')


def cases(rng):
    "Starts and signals, then kills and failures at random moments"
    for how in STARTS: yield Case(f'start: {how}', dict(kind='start', how=how))
    for name in ('SIGTERM', 'SIGINT', 'SIGHUP'):
        for ignored in (False, True)[:2 if name == 'SIGHUP' else 1]:
            yield Case(f'{name}{" that is ignored" if ignored else ""}',
                       dict(kind='signal', name=name, ignored=ignored))
    while True:
        variant = rng.choice(list(VARIANTS))
        kind = rng.choice(('killed before', 'fails before', 'killed at random'))
        n, fault = rng.randrange(1, 60), rng.choice(FAILURES)
        told = dict([('killed before', f'file operation {n}'), ('fails before', f'file operation {n}, {fault}'),
                     ('killed at random', f'{n}')])
        yield Case(f'{variant}, {kind} {told[kind]}', dict(kind=kind, variant=variant, n=n, fault=fault))


def judge(case, given):
    "The judged processes are forked from this one"
    kind = case.data['kind']
    if kind == 'start': return _start(case.data['how'])
    if kind == 'signal': return _signalled(case.data['name'], case.data['ignored'])
    cfg = kit.config(**VARIANTS[case.data['variant']])
    _in_process(_train, cfg, 'whole')
    if kind == 'killed at random': return _killed_at_random(cfg, case.data['n'])
    fault = case.data['fault'] if kind == 'fails before' else None
    how, words = _in_process(_train, cfg, 'parts', case.data['n'], fault)
    if fault and how == 'raised' and not words.startswith(('TrainingFailed', 'BadInput')):
        return Verdict('raw', words, 'fit')
    if fault == 'EROFS' and 'free some space' in words:
        return Verdict('unsaid', f'words that do not fit {fault}: {words}', 'fit')
    return _ends_the_same(cfg)


def _ends_the_same(cfg):
    "Start again, until it ends; then compare"
    how, words = _in_process(_train, cfg, 'parts')
    if how != 'ended': return Verdict('raw', f'does not go on: {words}', 'fit')
    differing = kit.run_differences('parts/small', 'whole/small')
    if differing: return Verdict('unsaid', f'ends with other weights: {differing[:3]}', 'fit')
    a, b = (_steps(folder) for folder in ('parts', 'whole'))
    if a != b: return Verdict('lost', f'metrics.jsonl has records of {a}, uninterrupted {b}', 'metrics')
    left = [str(p) for p in Path('parts').rglob('*') if '.tmp' in p.name or p.name.startswith('.probe')]
    return Verdict('unsaid', f'left over: {left}', 'leftovers') if left else FINE


def _steps(folder):
    records = [json.loads(line) for line in Path(folder, 'small/metrics.jsonl').read_text().splitlines()]
    return [(r['kind'], r['step'], r.get('value')) for r in records if r['kind'] != 'event']


def _in_process(work, *args):
    "(ended, raised or killed, words)"
    reading, writing = multiprocessing.Pipe(False)
    process = multiprocessing.get_context('fork').Process(target=_told, args=(writing, work, *args))
    process.start()
    writing.close()
    try:
        told = reading.recv()
    except EOFError:
        told = 'killed', ''
    process.join()
    return told


def _told(writing, work, *args):
    try:
        writing.send(('ended', str(work(*args))))
    except BaseException as error:
        writing.send(('raised', f'{type(error).__name__}: {error}'))


def _train(cfg, runs, n=None, fault=None):
    "Train; before the n-th operation on a file of the run, be killed or fail for that reason"
    if n: _inject(n, fault)
    return kit.train(cfg, runs)[1]


def _inject(n, fault):
    "In the calls of `os` that change files"
    counted = iter(range(n))
    def faulty(operation):
        def call(path, *args, **kw):
            is_own = isinstance(path, int) or 'parts' in os.fsdecode(path)
            if is_own and next(counted, None) is None: _fail(fault)
            return operation(path, *args, **kw)
        return call
    for name in OPERATIONS: setattr(os, name, faulty(getattr(os, name)))


def _fail(fault):
    if fault is None: os.kill(os.getpid(), signal.SIGKILL)
    code = getattr(errno, fault)
    raise OSError(code, os.strerror(code))


def _killed_at_random(cfg, seed):
    "Four times"
    rng = random.Random(seed)
    whole = 1.5
    for _ in range(4):
        process = multiprocessing.get_context('fork').Process(target=_train, args=(cfg, 'parts'))
        process.start()
        _after_processor(process, rng.uniform(.1, .8) * whole)
        process.kill()
        process.join()
    return _ends_the_same(cfg)


def _after_processor(process, seconds):
    "Wait until it has used that much of the processor, so that the machine's load does not matter"
    import psutil
    while process.is_alive():
        try:
            if sum(psutil.Process(process.pid).cpu_times()[:2]) > seconds: return
        except psutil.Error:
            return
        time.sleep(.01)


def _signalled(name, ignored):
    "After the fourth step: a checkpoint, a status, and the same end; ignored before, it stays ignored"
    signum, cfg = getattr(signal, name), kit.config()
    _in_process(_train, cfg, 'whole')
    def work():
        if ignored: signal.signal(signum, signal.SIG_IGN)
        return kit.train(cfg, 'parts', watch=kit.stop_after(4, signum))[1]
    how, words = _in_process(work)
    status = json.loads(Path('parts/small/status.json').read_text())
    expected = ('ended', 'done') if ignored else ('raised', 'interrupted')
    if (how, status['state']) != expected: return Verdict('unsaid',
                                                          f'{how}, status {status["state"]}: {words[-200:]}',
                                                          'signals')
    return _ends_the_same(cfg)


def _start(how):
    "At most one writer"
    cfg = kit.config()
    Path('parts/small').mkdir(parents=True)
    lock = Path('parts/small/.lock')
    lock.touch()
    if how == 'a lock deleted by hand': return _deleted(cfg, lock)
    readers = open(lock) if 'reader' in how else None
    if readers: fcntl.flock(readers, fcntl.LOCK_SH | fcntl.LOCK_NB)
    if how == 'two at once': return _two(cfg, None)
    return _two(cfg, readers)


def _two(cfg, reader):
    "Two trainings of one run: one trains, the other is refused, or begins when the first has ended"
    context, found = multiprocessing.get_context('fork'), multiprocessing.SimpleQueue()
    def work():
        steps = []
        def watch(status, records, last=False):
            time.sleep(.2)
            steps.append(time.monotonic())
        try:
            kit.train(cfg, 'parts', watch=watch)
            found.put(('trained', steps))
        except BaseException as error:
            found.put((f'{type(error).__name__}: {error}', steps))
    processes = [context.Process(target=work) for _ in range(2)]
    for process in processes: process.start()
    if reader:
        time.sleep(3)
        reader.close()
    (a, steps), (b, others) = (found.get() for _ in processes)
    for process in processes: process.join()
    if steps and others and steps[0] < others[-1] and others[0] < steps[-1]:
        return Verdict('lost', f'two writers of one run at once: {a}, {b}', 'lock')
    raised = [end for end in (a, b) if end != 'trained' and not end.startswith('BadInput')]
    return Verdict('raw', raised[0], 'lock') if raised else FINE


def _deleted(cfg, lock):
    "While one trains its lock is deleted; a second start is refused all the same"
    ready = multiprocessing.Event()
    def watch(status, records, last=False):
        ready.set()
        time.sleep(.2)
    process = multiprocessing.get_context('fork').Process(target=lambda: kit.train(cfg, 'parts', watch=watch))
    process.start()
    ready.wait()
    lock.unlink(missing_ok=True)
    how, words = _in_process(_train, cfg, 'parts')
    process.kill()
    process.join()
    if how == 'raised' and words.startswith('BadInput'): return FINE
    return Verdict('lost', f'a second writer: {how} {words}', 'lock')

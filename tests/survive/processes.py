"Processes of a run that begin at once or are killed: one writer, an end in words, nobody left behind, the same weights"
import fcntl
import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from . import endings, kit
from .common import FINE, Case, Verdict, has_leftovers
from .endings import in_process, train

STARTS = ('two at once', 'two beside a reader', 'two beside many lookers', 'a lock deleted by hand')
VICTIMS = ('kernel, training', 'kernel, starting', 'parent, training', 'parent, starting', 'rank 0', 'rank 1',
           'launcher', 'parent of ranks', 'worker', 'kernel of a worker', 'plan', 'scheduler', 'worker of a cluster',
           'closed terminal')
PLANS = ('worker', 'kernel of a worker', 'plan', 'scheduler', 'worker of a cluster')
LONG = dict(epochs=8, eval_every=4, ema_decay=0)


def cases(rng):
    "Every way to begin, then every victim at another moment; again and again"
    for how in STARTS: yield Case(f'start: {how}', dict(kind='start', how=how))
    for number in itertools.count(1):
        victims = rng.sample(VICTIMS, len(VICTIMS))
        for victim in victims:
            step = rng.randrange(1, 20)
            yield Case(f'{victim} at step {step}, round {number}', dict(kind='victim', who=victim, step=step))
        for how in STARTS: yield Case(f'start: {how}, round {number}', dict(kind='start', how=how))


def judge(case, given):
    "Beginnings are forked from this process; victims are real commands"
    if case.data['kind'] == 'start': return _start(case.data['how'])
    who, step = case.data['who'], case.data['step']
    if who in PLANS: return _plan(who, step, given)
    if 'rank' in who or who == 'launcher': return _ranks(who, step, given)
    return _command(who, step, given)


# --- two beginnings

def _start(how):
    "At most one writer"
    cfg, lock = kit.config(), Path('parts/small/.lock')
    lock.parent.mkdir(parents=True)
    lock.touch()
    if how == 'a lock deleted by hand': return _deleted(cfg, lock)
    if how == 'two beside a reader': return _two(cfg, [_fork(_read_once, lock)])
    if how == 'two beside many lookers': return _two(cfg, [_fork(_look_again_and_again, lock) for _ in range(2)])
    return _two(cfg, [])


def _fork(work, *args):
    process = multiprocessing.get_context('fork').Process(target=work, args=args, daemon=True)
    process.start()
    return process


def _read_once(lock):
    "Hold it as whoever looks does, for longer than anybody should"
    with open(lock) as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        time.sleep(3)


def _look_again_and_again(lock):
    "As `nvae runs` and boards do, at once again"
    while True:
        time.sleep(.0005)
        with open(lock) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                continue


def _two(cfg, others):
    "Two trainings of one run: one trains, the other is refused, or begins when the first has ended"
    found = multiprocessing.SimpleQueue()
    def work():
        steps = []
        def watch(status, records, last=False):
            time.sleep(.05)
            steps.append(time.monotonic())
        try:
            kit.train(cfg, 'parts', watch=watch)
            found.put(('trained', steps))
        except BaseException as error:
            found.put((f'{type(error).__name__}: {error}', steps))
    both = [_fork(work) for _ in range(2)]
    (a, steps), (b, more) = (found.get() for _ in both)
    for process in others: process.kill()
    if steps and more and steps[0] < more[-1] and more[0] < steps[-1]:
        return Verdict('lost', f'two writers of one run at once: {a}, {b}', 'lock')
    raised = [end for end in (a, b) if end != 'trained' and not end.startswith('BadInput')]
    return Verdict('raw', raised[0], 'lock') if raised else Verdict('fine', f'{a}; {b}'[:200])


def _deleted(cfg, lock):
    "While one trains its lock is deleted; a second start is refused all the same"
    ready, may_end = multiprocessing.Event(), multiprocessing.Event()
    def watch(status, records, last=False):
        ready.set()
        may_end.wait()
    process = _fork(lambda: kit.train(cfg, 'parts', watch=watch))
    ready.wait()
    lock.unlink(missing_ok=True)
    how, words = in_process(train, cfg, 'parts')
    process.kill()
    process.join()
    if how == 'raised' and words.startswith('BadInput'): return FINE
    return Verdict('lost', f'a second writer: {how} {words}', 'lock')


# --- victims

def _family(pid):
    "A process and all that it began; nobody where it has ended"
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _command(who, step, given):
    "`nvae train`: its kernel or itself is killed, or its terminal closed"
    other, run = endings.whole_drawn(given, **LONG), Path('parts/small')
    line = ('train', 'small.yaml', '--runs', 'parts')
    process = endings.start(*line)
    family, victim = _victim_of(who, step, process, run)
    if victim is None: return _same(process, None, run, other, 'ended before')
    signum = signal.SIGHUP if who == 'closed terminal' else signal.SIGKILL
    endings.send(victim, signum)
    said = endings.ended(process)
    if victim == process.pid and signum == signal.SIGKILL: return _orphans(family) or _again(line, run, other)
    verdict = endings.is_told_by(said) or _settled(run, said, signum) or _orphans(family)
    return verdict or _again(line, run, other)


def _victim_of(who, step, process, run):
    "(all processes, the number of the one that it hits); None where the run ended before"
    parent = process.pid
    if 'starting' in who:
        endings.wait_until(lambda: endings.status(run).get('state') == 'starting', process)
        if who.startswith('parent'): return _family(parent), process.pid
        kernels = endings.wait_until(lambda: [p for p in _family(parent)[1:] if _is_kernel(p)], process)
        return _family(parent), kernels and kernels[0].pid
    training = endings.wait_until(lambda: _at_step(run, step), process)
    if not training: return [], None
    return _family(parent), training if who.startswith('kernel') else process.pid


def _is_kernel(process):
    try:
        return 'ipykernel' in ' '.join(process.cmdline())
    except psutil.Error:
        return False


def _at_step(run, step):
    "The number of the process that trains, once it is there"
    status = endings.status(run)
    return status['pid'] if status.get('state') == 'training' and status.get('step', 0) >= step else None


def _settled(run, said, signum):
    "status.json and the exit code say how it ended"
    status = endings.status(run)
    if status.get('state') in ('training', 'evaluating', 'preparing', 'starting'):
        return Verdict('unsaid', f'nobody trains, but the status is {status["state"]}; exit code {said.code}', 'status')
    if signum == signal.SIGHUP and said.code not in (0, 129):
        return Verdict('unsaid', f'exit code {said.code} after SIGHUP: {said.out[-300:]}', 'signals')
    if signum == signal.SIGKILL and said.code == 0 and status.get('state') != 'done':
        return Verdict('unsaid', f'exit code 0, status {status.get("state")}', 'status')


def _orphans(family):
    "Whoever is left of a run ends by itself; looked at for as long as the trial may last"
    endings.wait_until(lambda: not [p for p in family if _lives(p)], told=lambda: f'left behind: {family}')


def _lives(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _again(line, run, other):
    "The same command ends it, and as if nothing had been"
    said = endings.ended(endings.start(*line))
    return _same(None, said, run, other, 'again')


def _same(process, said, run, other, words):
    said = said or endings.ended(process)
    if said.code: return Verdict('raw', f'{words}: exit code {said.code}: {(said.out + said.err)[-600:]}', 'train')
    verdict = endings.same_end(run, other)
    return verdict if verdict.result != 'fine' else _temporary() or FINE


def _temporary():
    "What is left in the folder of temporary files, but for those that Jupyter or Python name at random"
    left = sorted(str(path) for path in Path('tmp').glob('*') if path.name.startswith(('nvae-', 'torchelastic')))
    return Verdict('unsaid', f'left over: {left[:5]}', 'leftovers') if left else has_leftovers('parts')


def _whole_of_two(given):
    "The run of two processes that nobody disturbed"
    folder = given / 'variants/two processes'
    if folder.exists(): return folder / 'small'
    said = endings.ended(endings.start('train', 'small.yaml', '--runs', 'half', '--processes', 2))
    if said.code: raise RuntimeError(f'the whole run did not end: {(said.out + said.err)[-600:]}')
    folder.parent.mkdir(exist_ok=True)
    os.rename('half', folder)
    return folder / 'small'


def _ranks(who, step, given):
    "Two processes train; one of them, or what launched them, is killed"
    endings.small_yaml(**LONG)
    line, run = ('train', 'small.yaml', '--runs', 'parts', '--processes', 2), Path('parts/small')
    other = _whole_of_two(given)
    process = endings.start(*line)
    writer = endings.wait_until(lambda: _at_step(run, 1 + step // 3), process)  # two make half as many steps
    family = _family(process.pid)
    victim = writer and _one_of(who, writer, process.pid)
    if victim: endings.send(victim)
    said = endings.ended(process)
    if victim and victim != process.pid:
        verdict = endings.is_told_by(said) or _settled(run, said, signal.SIGKILL)
        if verdict: return verdict
    _orphans(family)
    return _again(line, run, other)


def _one_of(who, writer, parent):
    "The number of a rank, of the launcher, or of what launched it"
    try:
        launcher = psutil.Process(writer).parent()
    except psutil.Error:
        return None
    if who == 'rank 0': return writer
    if who == 'launcher': return launcher.pid
    if who == 'rank 1': return next((p.pid for p in launcher.children() if p.pid != writer), None)
    return parent


def _plan(who, step, given):
    "`nvae schedule` of two runs: a worker, a kernel, the scheduler or the whole is killed"
    other = endings.whole_drawn(given, **LONG)
    runs = [dict(config='small.yaml', name='small'), dict(config='small.yaml', name='second', overrides=dict(seed=1))]
    Path('p.yaml').write_text(json.dumps(dict(runs=runs)))
    is_cluster = who in ('scheduler', 'worker of a cluster')
    cluster = _cluster() if is_cluster else []
    line = ('schedule', 'p.yaml', '--runs', 'parts', *(('--cluster', 'cluster.json') if is_cluster else ('--slots', 1)))
    process = endings.start(*line)
    kernel = endings.wait_until(lambda: _at_step(Path('parts/small'), step), process)
    family = _family(process.pid)
    if kernel: endings.send(_of_plan(who, kernel, process.pid, cluster))
    said = endings.ended(process)
    verdict = None if who == 'plan' else endings.is_told_by(said) or _all_done(said)
    for one in cluster: one.kill()
    _orphans(family)
    if verdict: return verdict
    return _again(('schedule', 'p.yaml', '--runs', 'parts', '--slots', 1), Path('parts/small'), other)


def _all_done(said):
    "None where that is so, or the exit code says that it isn't"
    states = [endings.status(Path('parts', name)).get('state') for name in ('small', 'second')]
    if said.code == 0 and states != ['done'] * 2: return Verdict('unsaid', f'exit code 0, runs {states}', 'schedule')


def _of_plan(who, kernel, plan, cluster):
    "The number of the process that it hits"
    if who == 'kernel of a worker': return kernel
    if who == 'plan': return plan
    if who == 'scheduler': return cluster[0].pid
    try:
        return psutil.Process(kernel).parent().pid
    except psutil.Error:
        return kernel


def _cluster():
    "A scheduler and a worker, as a person starts them"
    environment = {**os.environ, 'PYTHONPATH': str(endings.ROOT), 'OMP_NUM_THREADS': '1'}
    def dask(*args):
        command = [sys.executable, '-m', 'dask', *args, '--host', '127.0.0.1', '--scheduler-file', 'cluster.json']
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    scheduler = dask('scheduler', '--port', '0', '--dashboard-address', '127.0.0.1:0')
    endings.wait_until(lambda: Path('cluster.json').exists(), scheduler)
    return [scheduler, dask('worker', '--nthreads', '1', '--preload', 'nvae.schedule.workers')]

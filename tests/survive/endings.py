"Trainings in processes of their own: how they end, and whether they end as one that nobody disturbed"
import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import psutil

from . import kit
from .common import FINE, Verdict, has_leftovers

VARIANTS = {'plain': {}, 'accumulated': dict(accumulate=2), 'no average': dict(ema_decay=0, checkpoint_images=24),
            'two per epoch': dict(eval_every=.5), 'clipped': dict(grad_clip=5., bn_lambda=.05)}


def in_process(work, *args):
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


def train(cfg, runs):
    return kit.train(cfg, runs)[1]


def whole(given, variant='plain'):
    "The run of a variant that nobody disturbed; made when it is first asked for"
    folder = given / 'variants' / variant
    if not folder.exists():
        half = folder.with_name(f'{variant}.half')
        shutil.rmtree(half, ignore_errors=True)
        how, words = in_process(train, kit.config(**VARIANTS[variant]), half)
        if how != 'ended': raise RuntimeError(f'the whole run did not end: {words}')
        half.rename(folder)
    return folder / 'small'


def is_told(how, words):
    "Did it end, was it killed, or did it say why not?"
    return how != 'raised' or words.startswith(('TrainingFailed', 'BadInput', 'Interrupted'))


def ends_the_same(cfg, other, runs='parts'):
    "Start again; it ends, and as the other run did, to the bit"
    how, words = in_process(train, cfg, runs)
    if how != 'ended': return Verdict('raw', f'does not go on: {words}', 'fit')
    return same_end(Path(runs, cfg.name), other)


def same_end(run, other):
    "Weights, optimiser, counters, records and what is left over"
    differing = kit.run_differences(run, other)
    if differing: return Verdict('unsaid', f'ends with other weights: {differing[:3]}', 'fit')
    ours, theirs = records(run), records(other)
    if ours != theirs: return Verdict('lost', f'metrics.jsonl has records of {ours}, undisturbed {theirs}', 'metrics')
    return has_leftovers(run.parent) or FINE


def records(run):
    "What was measured, without the clock"
    lines = [json.loads(line) for line in Path(run, 'metrics.jsonl').read_text().splitlines()]
    return [(r['kind'], r['step'], r.get('value')) for r in lines if r['kind'] != 'event']


def status(run):
    "What status.json says"
    try:
        return json.loads(Path(run, 'status.json').read_text())
    except (OSError, ValueError):
        return {}


def killed_after(seconds, work, *args):
    "Killed once it has used that much of the processor, so that the machine's load does not matter"
    process = multiprocessing.get_context('fork').Process(target=work, args=args)
    process.start()
    wait_until(lambda: not process.is_alive() or used_by(process.pid) > seconds, process)
    process.kill()
    process.join()


def used_by(pid):
    "Seconds of the processor"
    try:
        return sum(psutil.Process(pid).cpu_times()[:2])
    except psutil.Error:
        return 0.


def wait_until(condition, process=None):
    "What the condition gives when it first gives something; None when the process has ended before that"
    while not (found := condition()):
        if process is not None and not _is_alive(process): return None
        time.sleep(.01)
    return found


def _is_alive(process):
    return process.is_alive() if hasattr(process, 'is_alive') else process.poll() is None


def send(pid, signum=signal.SIGKILL):
    "A signal, to whoever is still there"
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return

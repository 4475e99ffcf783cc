"Trainings in processes of their own: how they end, and whether they end as one that nobody disturbed"
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from . import kit
from .common import FINE, Verdict, has_leftovers

ROOT = Path(__file__).resolve().parents[2]
NVAE = (sys.executable, '-c', 'import sys; from nvae.cli.main import main; sys.exit(main())')
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
    if variant == 'plain': return given / 'whole/small'  # made with the other materials
    folder = given / 'variants' / variant
    if not folder.exists():
        half = folder.with_name(f'{variant}.half')
        shutil.rmtree(half, ignore_errors=True)
        how, words = in_process(train, kit.config(**VARIANTS[variant]), half)
        if how != 'ended': raise RuntimeError(f'the whole run did not end: {words}')
        half.rename(folder)
    return folder / 'small'


def start(*args, **environment):
    "A line of the terminal, in a process of its own, with temporary files in ./tmp"
    Path('tmp').mkdir(exist_ok=True)
    own = dict(PYTHONPATH=str(ROOT), TMPDIR=os.path.abspath('tmp'), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    out, err = (open(name, 'w') for name in ('out', 'err'))
    return subprocess.Popen([*NVAE, *map(str, args)], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                            env={**os.environ, **own, **environment})


def ended(process):
    "(exit code, what it printed, what it complained of), once it has ended"
    code = process.wait()
    return kit.Said(code, *(Path(name).read_text(errors='replace') for name in ('out', 'err')))


def is_told_by(said):
    "A line in words for a run that doesn't end well; None where it is so"
    lines = [line for line in (said.out + said.err).splitlines() if line.strip()]
    if 'Traceback' in said.err or 'Traceback' in said.out:
        return Verdict('raw', (said.out + said.err)[-600:], kit.place_in(said.err + said.out))
    errors = [line for line in lines if re.search(r'\b(OSError|RuntimeError|ValueError|KeyError|\[Errno)\b', line)]
    if errors: return Verdict('raw', errors[-1][-600:])
    if said.code == 0 or lines: return None
    return Verdict('unsaid', f'exit code {said.code} without a word')


def small_yaml(**train):
    "The small configuration in a file, with drawn faces"
    import yaml
    cfg = kit.config(data=dict(n_train=40, n_test=8), **train).to_dict()
    Path('small.yaml').write_text(yaml.safe_dump(cfg))
    return kit.load_config('small.yaml')


def whole_drawn(given, **train):
    "The run of that configuration that nobody disturbed"
    folder = given / 'variants' / ('drawn ' + ' '.join(f'{k}={v}' for k, v in train.items())).strip()
    cfg = small_yaml(**train)
    if not folder.exists():
        half = folder.with_name(f'{folder.name}.half')
        shutil.rmtree(half, ignore_errors=True)
        how, words = in_process(lambda: kit.fit(cfg, kit.open_run(cfg, half)))
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


def wait_until(condition, process=None, told=lambda: ''):
    "What the condition gives when it first gives something; None when the process has ended before that"
    if words := told(): print(words, flush=True)  # what a trial that hangs was waiting for
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

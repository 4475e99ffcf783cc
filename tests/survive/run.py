"Run the trials, each in a process of its own, bounded in memory, processor and waiting; goes on where it stopped"
import argparse
import collections
import contextlib
import importlib
import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[0] = str(TESTS.parent)  # the kit; not this folder, whose names are plain words
sys.path.append(str(TESTS))

import psutil  # noqa: E402

from survive import common, kit, materials  # noqa: E402

MOST = dict(damage=9000, outputs=400, configs=3000, commands=1500, images=2000, models=1500, official=500, plans=1000,
            kills=600, disks=200, processes=60, numbers=300, boards=100)
SLICE = dict(damage=8, outputs=16, configs=6, commands=24, images=12, models=8, official=6, plans=12, kills=1,
             disks=3, processes=1, numbers=1, boards=3)
PARTS = tuple(MOST)
LONGER = dict(configs=40, kills=60, disks=60, processes=400, numbers=40, boards=60)  # seconds of the processor
GIGABYTE = 2**30
PROCESSOR = 20  # seconds of the processor that a trial may use
SHORT = 7       # in the slice
ASLEEP = 10     # seconds in a row without any use of it, of something that doesn't want it, that are waiting for ever
IDLE = 120      # seconds in all in which it was hardly used
MADE = 120      # seconds for the materials


def cases_of(part, seed=0):
    "The cases of a part, always the same for a seed"
    return importlib.import_module(f'survive.{part}').cases(materials.rng_of(part, seed))


def processor(part, is_slice)->int:
    "Seconds of the processor for a trial of a part"
    return LONGER.get(part, SHORT if is_slice else PROCESSOR)


def limited(judge, case, given, folder, seconds)->dict:
    "Judge one case in a process of its own"
    said, found = folder.with_suffix('.said'), folder.with_suffix('.json')
    folder.mkdir()
    pid = os.fork()
    if not pid: _in_child(judge, case, given, folder, said, found, seconds)
    hung = _wait(pid, folder, seconds)
    try:
        result = json.loads(found.read_text())
    except (OSError, ValueError):
        words = said.read_text(errors='replace')[-400:] if said.exists() else ''
        result = dict(result='raw', words=f'the process died ({hung}): {words}', at='')
    if hung in ('too long', 'asleep', f'signal {signal.SIGXCPU:d}', f'signal {signal.SIGKILL:d}'):
        result = dict(result, result='hung', words=f'{hung}; {result["words"]}')
    if result['result'] == 'hung' or (folder / 'tmp').exists(): _end_those_left(folder)
    for path in (said, found): path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return result


def _end_those_left(folder):
    "Processes that a trial began, wherever they are now"
    for process in _begun_by(folder):
        with contextlib.suppress(psutil.Error): process.kill()


def _begun_by(folder):
    "Yields the processes of a trial, also those whose parents have died"
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get('SURVIVE') == str(folder) and process.pid != os.getpid(): yield process


def _in_child(judge, case, given, folder, said, found, seconds):
    "Never returns"
    try:
        os.setsid()
        os.chdir(folder)
        _environment(folder)
        _redirect(said)
        start = _memory('VmRSS')
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 2))
        most = _memory('VmSize') + 5 * GIGABYTE // 2
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        verdict = _judged(judge, case, given)
        grown = _memory('VmHWM') - start
        if grown > GIGABYTE: verdict = common.Verdict('beyond', f'{grown >> 20} MB; {verdict.words}', verdict.at)
        found.write_text(json.dumps(verdict._asdict()))
    finally:
        os._exit(0)


def _judged(judge, case, given):
    try:
        return judge(case, given)
    except BaseException as error:  # a judge that lets something through means the kit let it through
        return common.of_exception(error)


def _environment(folder):
    home = folder.with_suffix('.home')
    os.environ.update(HOME=str(home), NVAE_CACHE=str(home / 'cache'), TMPDIR=tempfile.gettempdir(), COLUMNS='120',
                      SURVIVE=str(folder))


def _redirect(said):
    for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)):
        os.dup2(os.open(path, flags), number)
    os.dup2(1, 2)


def _memory(key):
    "Bytes of this process"
    text = Path('/proc/self/status').read_text()
    return int(text.split(f'{key}:')[1].split()[0]) << 10


def _wait(pid, folder, seconds)->str:
    "Until it ends, or is ended; how. Waiting counts only where the processor isn't wanted: other people's load doesn't"
    used, idle, in_a_row, last = 0., 0., 0., time.monotonic()
    seen = {}
    for look in itertools.count(1):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done: return f'signal {os.WTERMSIG(status)}' if os.WIFSIGNALED(status) else 'ended'
        time.sleep(.01)
        if look % 50: continue
        now, (worked, is_running) = time.monotonic(), _worked(seen, pid, folder)
        passed = min(now - last, 1)  # this process too may have waited for its turn
        last, used = now, used + worked
        in_a_row = 0. if is_running or worked > 0 else in_a_row + passed
        if not is_running and worked < passed / 20: idle += passed
        how = 'too long' if used > seconds else 'asleep' if in_a_row > ASLEEP or idle > IDLE else ''
        if how: return _end(pid) or how


def _worked(seen, pid, folder):
    "Seconds of the processor that a trial used since the last look, and whether one of its processes wants it now"
    worked, is_running = 0., False
    for process in _family(pid, folder):  # `seen`: what each had used by then, that of the dead included
        with contextlib.suppress(psutil.Error):
            seconds = sum(process.cpu_times()[:2])
            worked += seconds - seen.get(process, 0.)
            seen[process] = seconds
            is_running |= process.status() in (psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP)
    return worked, is_running


def _family(pid, folder):
    "A process, its children, and what else the trial began where it began commands: orphans too"
    with contextlib.suppress(psutil.Error):
        own = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        return {*own, *_begun_by(folder)} if (folder / 'tmp').exists() else own
    return []


def _end(pid):
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def make_materials(folder):
    "In a process of its own, so that this one never trains"
    def judge(case, given):
        materials.make(given)
        return common.FINE
    (folder / 'given').mkdir()
    made = limited(judge, None, folder / 'given', folder / 'making', MADE)
    if made['result'] != 'fine': raise SystemExit(f'the materials could not be made: {made}')
    return folder / 'given'


def run(parts, seconds, count, seed, out, is_slice=False):
    "Every case that `out` doesn't hold yet; a line says at which commit it was tried"
    commit = _commit()
    lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = {(line['part'], line['seed'], line['case']) for line in lines}
    kit.warm()
    with tempfile.TemporaryDirectory(prefix='survive-') as folder, open(out, 'a') as file:
        folder = Path(folder)
        given = make_materials(folder)
        for part in parts:
            limit = processor(part, is_slice)
            for line in _part(part, seconds, count[part], limit, seed, done, given, folder):
                lines.append(line | dict(commit=commit))
                print(json.dumps(lines[-1]), file=file, flush=True)
    return lines


def _part(part, seconds, count, limit, seed, done, given, folder):
    "The lines of one part"
    judge, until = importlib.import_module(f'survive.{part}').judge, time.monotonic() + seconds
    for number, case in enumerate(itertools.islice(cases_of(part, seed), count)):
        if time.monotonic() > until: break
        if (part, seed, number) in done: continue
        start, before = time.monotonic(), _used_by_children()
        result = limited(judge, case, given, folder / f'{part}-{number}', limit)
        times = dict(seconds=round(time.monotonic() - start, 1), processor=round(_used_by_children() - before, 1))
        yield dict(part=part, seed=seed, case=number, what=case.what, **result, **times)


def _used_by_children()->float:
    "Seconds of the processor, of all children that have ended"
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def counts_of(lines)->list:
    "A row per part: how many were tried, and how many ended how"
    rows = []
    for part in PARTS:
        own = [line for line in lines if line['part'] == part]
        ends = collections.Counter(line['result'] for line in own)
        if own: rows.append(dict(part=part, tried=len(own), **{result: ends[result] for result in common.RESULTS}))
    return rows


def table(lines):
    "How many of each part ended how"
    columns = [result for result in common.RESULTS if result != 'fine']
    names = dict(beyond='beyond 1 GB')
    print(f"{'part':<10}{'tried':>8}" + ''.join(f'{names.get(c, c):>12}' for c in columns))
    for row in counts_of(lines):
        print(f"{row['part']:<10}{row['tried']:>8}" + ''.join(f'{row[c]:>12}' for c in columns))


def failures(lines):
    "What failed, the same together"
    failed = collections.defaultdict(list)
    for line in lines:
        if line['result'] != 'fine': failed[line['part'], line['result'], line['at'], line['words'][:50]].append(line)
    for (part, result, at, _), found in sorted(failed.items()):
        print(f"\n{part} {result} ×{len(found)} {at}\n  {found[0]['what']}\n  {found[0]['words'][-300:]}")


def summarise(lines, path):
    "Counts, seeds, date and commits, for the page of results"
    date = time.strftime('%Y-%m-%d')
    with open(path, 'w') as file:
        for row in counts_of(lines):
            own = [line for line in lines if line['part'] == row['part']]
            seeds, seconds = sorted({line['seed'] for line in own}), round(sum(line['seconds'] for line in own))
            commit = ', '.join(dict.fromkeys(line['commit'] for line in own))
            print(json.dumps(dict(row, seeds=seeds, seconds=seconds, date=date, commit=commit)), file=file)


def _commit()->str:
    "Of the kit that is tried"
    line = ['git', '-C', TESTS, 'rev-parse', '--short', 'HEAD']
    return subprocess.run(line, capture_output=True, text=True).stdout.strip()


def shrunk(part, number, seed):
    "A failing case with all left out that it doesn't need"
    from survive.shrink import smallest
    module = importlib.import_module(f'survive.{part}')
    case = next(itertools.islice(cases_of(part, seed), number, None))
    if not hasattr(module, 'pieces'): raise SystemExit(f'cases of {part} are of one piece')
    with tempfile.TemporaryDirectory(prefix='survive-') as folder:
        folder, tries = Path(folder), itertools.count()
        given = make_materials(folder)
        def how(case):
            return limited(module.judge, case, given, folder / f'{part}-{next(tries)}', processor(part, False))
        whole = how(case)
        if whole['result'] == 'fine': raise SystemExit(f'{case.what}: fine')
        def fails(kept):
            found = how(module.with_pieces(case, kept))
            return all(found[key] == whole[key] for key in ('result', 'at'))
        case = module.with_pieces(case, smallest(module.pieces(case), fails))
        return dict(part=part, seed=seed, case=number, what=case.what, **how(case))


def told(asked):
    "What a file of lines holds"
    lines = [json.loads(line) for line in asked.out.read_text().splitlines()]
    table(lines)
    if asked.summary: summarise(lines, asked.summary)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--part', choices=PARTS, action='append', help='only this part; all if not given')
    parser.add_argument('--seconds', type=float, default=1200, help='at most, for each part')
    parser.add_argument('--cases', type=int, help='at most, of each part; all if not given')
    parser.add_argument('--slice', action='store_true', help='the short slice that `make test` takes')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('survive.jsonl'), help='goes on where this file stops')
    parser.add_argument('--table', action='store_true', help='try nothing: the table of what `out` holds')
    parser.add_argument('--summary', type=Path, help='write the counts of `out` here, for the page of results')
    parser.add_argument('--shrink', type=int, help='the number of a case of one part: the least of it that fails')
    asked = parser.parse_args()
    if asked.shrink is not None:
        kit.warm()
        return print(json.dumps(shrunk(asked.part[0], asked.shrink, asked.seed)))
    if asked.table or asked.summary: return told(asked)
    count = SLICE if asked.slice else dict.fromkeys(PARTS, asked.cases) if asked.cases else MOST
    lines = run(asked.part or PARTS, asked.seconds, count, asked.seed, asked.out, asked.slice)
    table(lines)
    failures(lines)
    return int(any(line['result'] != 'fine' for line in lines))


if __name__ == '__main__':
    sys.exit(main())

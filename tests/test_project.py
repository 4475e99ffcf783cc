"The checks of `make check`, each on a copy of the project that is in order and on one that is not"
import json
import shutil
import subprocess
from pathlib import Path

import check
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def pristine(tmp_path_factory):
    "A copy of what the checks read"
    copy = tmp_path_factory.mktemp('project')
    for folder in ('nbs', 'nvae', 'docs/images', 'model_configs'):
        if (ROOT / folder).exists(): shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints'))
    for name in ('settings.ini', 'pyproject.toml', 'README.md', 'LICENSE', 'CONTRIBUTING.md'): shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture
def project(pristine, tmp_path):
    "A copy of the copy, to be spoiled"
    shutil.copytree(pristine, tmp_path / 'project')
    return tmp_path / 'project'


@pytest.fixture(scope='module')
def already(pristine): return set(check.exports_and_notebooks(pristine))


def new_names(project, already):
    "The files that the check names beside those that it named before"
    return sorted(problem.split()[0] for problem in set(check.exports_and_notebooks(project)) - already)


def edit(path, change):
    "Rewrite a notebook through `change`, which gets its parsed content"
    notebook = json.loads(path.read_text(encoding='utf-8'))
    change(notebook)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')


def test_modules_edited_stale_and_missing_are_named(project, already):
    (project / 'nvae/cli.py').write_text((project / 'nvae/cli.py').read_text() + '\nx = 1\n')
    (project / 'nvae/stale.py').write_text('x = 1\n')
    (project / 'nvae/config.py').unlink()
    assert new_names(project, already) == ['nvae/cli.py', 'nvae/config.py', 'nvae/stale.py']


def test_unclean_notebook_is_named(project, already):
    def run_count(notebook): next(c for c in notebook['cells'] if c['cell_type'] == 'code')['execution_count'] = 7
    edit(project / 'nbs/19_cli.ipynb', run_count)
    assert new_names(project, already) == ['nbs/19_cli.ipynb']


def test_lost_parameters_tag_is_noticed(project):
    assert check.parameters_cell(project) == []
    edit(project / 'nbs/20_train.ipynb', lambda notebook: [cell['metadata'].pop('tags', None) for cell in notebook['cells']])
    assert 'papermill needs one' in check.parameters_cell(project)[0]


def test_stale_readme_and_missing_pictures_are_named(project):
    assert check.readme_fresh(project) == []
    (project / 'README.md').write_text('# something else\n')
    def point(notebook): next(c for c in notebook['cells'] if c['cell_type'] == 'markdown')['source'].append('\n![a](../docs/images/none.webp)')
    edit(project / 'nbs/index.ipynb', point)
    assert check.readme_fresh(project) == ['README.md is not what nbs/index.ipynb gives: run make readme', 'nbs/index.ipynb points to docs/images/none.webp, which is not there']


def test_lint_sees_modules_and_notebooks(project):
    (project / 'nvae/extra.py').write_text('print(undefined_name)\n')
    edit(project / 'nbs/19_cli.ipynb', lambda notebook: notebook['cells'].append({**notebook['cells'][-1], 'cell_type': 'code', 'id': 'wrong', 'outputs': [],
                                                                                  'execution_count': None, 'metadata': {}, 'source': ['another_undefined\n']}))
    found = '\n'.join(check.lint(project))
    assert 'undefined_name' in found and 'another_undefined' in found


def test_make_alone_lists_every_target():
    listed = {line.split()[1] for line in subprocess.run(['make', '-s'], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()}
    targets = {line.split(':')[0] for line in (ROOT / 'Makefile').read_text().splitlines() if line[:1].isalpha() and ':' in line and '=' not in line}
    assert listed == targets and {'quickstart', 'test', 'check', 'readme', 'clean'} <= listed


def test_old_python_is_refused_with_a_way_out(tmp_path):
    old = tmp_path / 'python3.9'
    old.write_text('#!/bin/sh\nexec python3 -c "import sys; sys.version_info = (3, 9, 1); sys.version = \'3.9.1\'; exec(sys.argv[1])" "$2"\n')
    old.chmod(0o755)
    for name in ('Makefile', 'settings.ini', 'setup.py', 'pyproject.toml'): shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(['make', 'check', f'PYTHON={old}'], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode and 'needs Python 3.11 or newer' in done.stderr and not (tmp_path / '.venv').exists()

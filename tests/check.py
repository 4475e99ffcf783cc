"What `make check` looks at: README, modules, notebooks, lint. Prints what is wrong and what mends it; exit code 1 if anything is"
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
sys.path.insert(0, str(ROOT / 'docs'))
import readme  # noqa: E402

INDEX = '_modidx.py'  # nbdev's own table, not committed


def contents(folder, pattern):
    "The bytes of each file of `folder` that matches, by name"
    return {path.name: path.read_bytes() for path in folder.glob(pattern) if path.name != INDEX}


def differing(ours, fresh):
    "Names that only one side has, or whose bytes differ"
    return [name for name in sorted(ours.keys() | fresh.keys()) if ours.get(name) != fresh.get(name)]


def stale_files(root):
    "Modules that are not what the notebooks export, and notebooks that nbdev_clean would change: (modules, notebooks)"
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        (tmp / 'nbs').mkdir()
        for path in [root / 'settings.ini', *(root / 'nbs').glob('*.ipynb')]: shutil.copy(path, tmp / path.relative_to(root))
        for command in (['nbdev_export'], ['nbdev_clean', '--fname', 'nbs']):
            subprocess.run([BIN / command[0], *command[1:]], cwd=tmp, check=True, capture_output=True, text=True)
        return (differing(contents(root / 'nvae', '*.py'), contents(tmp / 'nvae', '*.py')),
                differing(contents(root / 'nbs', '*.ipynb'), contents(tmp / 'nbs', '*.ipynb')))


def exports_and_notebooks(root):
    "Problems with modules and notebooks, one line each"
    modules, notebooks = stale_files(root)
    return ([f'nvae/{name} is not what its notebook exports: run nbdev_export, or delete it if no notebook makes it' for name in modules]
            + [f'nbs/{name} is not clean: run nbdev_clean' for name in notebooks])


def parameters_cell(root):
    "papermill sets the training notebook's parameters in the cell that carries this tag"
    path = root / 'nbs/20_train.ipynb'
    if not path.exists(): return ['nbs/20_train.ipynb is missing: `nvae train` runs it']
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    tagged = [cell for cell in cells if 'parameters' in cell['metadata'].get('tags', [])]
    return [] if len(tagged) == 1 else [f'nbs/20_train.ipynb has {len(tagged)} cells tagged `parameters`, papermill needs one']


def readme_fresh(root):
    "README.md against nbs/index.ipynb, and whether what that points to is there"
    return (['README.md is not what nbs/index.ipynb gives: run make readme'] * readme.is_stale(root)
            + [f'nbs/index.ipynb points to {name}, which is not there' for name in readme.missing(root)])


def lint(root):
    "ruff over modules, notebooks and tests"
    done = subprocess.run([BIN / 'ruff', 'check', '--quiet', '--output-format=concise', '.'], cwd=root, capture_output=True, text=True)
    return (done.stdout + done.stderr).splitlines()


CHECKS = readme_fresh, exports_and_notebooks, parameters_cell, lint


def main():
    problems = [problem for check in CHECKS for problem in check(ROOT)]
    print('\n'.join(problems) or 'check: README, modules, notebooks and lint are in order')
    return bool(problems)


if __name__ == '__main__': sys.exit(main())

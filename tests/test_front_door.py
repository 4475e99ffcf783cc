"The front door: what `import nvae` offers, to Python, to an editor and to a type checker; where old names went"
import re
import subprocess
import sys
from pathlib import Path

import jedi
import pytest

import nvae

ROOT = Path(__file__).resolve().parents[1]
OLD = re.findall(r'^\| `nvae\.(\w+)` \| (.+) \|$', (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8'), re.M)
PROMISED = {
    'load', 'save', 'load_config', 'list_configs', 'Config', 'ModelConfig', 'BadInput', 'NVAE', 'Output', 'draw_noise',
    'prior_noise', 'sample_images', 'reconstruct', 'explore', 'interpolate', 'mix', 'embed', 'unembed', 'evaluate',
    'encode_images', 'decode_images', 'Latents',
    'fid', 'dataloaders', 'load_image', 'open_run', 'fit', 'image_grid', 'draw_hierarchy', 'plot_curves',
    'from_pretrained', 'push_to_hub'}


def test_dir_lists_what_is_promised():
    assert set(nvae.__all__) == PROMISED
    assert PROMISED < set(dir(nvae))
    assert all(callable(getattr(nvae, name)) for name in PROMISED)


def test_importing_nvae_loads_nothing():
    code = 'import sys, nvae; print("torch" in sys.modules, "pydantic" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout.split() == ['False'] * 2


def test_an_editor_completes_it():
    completions = jedi.Script('import nvae\nnvae.', project=jedi.Project(ROOT)).complete(2, 5)
    assert PROMISED <= {completion.name for completion in completions}


def test_a_type_checker_sees_it(tmp_path):
    uses = '\n'.join(f'nvae.{name}' for name in sorted(PROMISED))
    (tmp_path / 'uses.py').write_text(f'import nvae\n{uses}\nnvae.laod\nnvae.load(3.5j)\n')
    (tmp_path / 'pyrightconfig.json').write_text(
        f'{{"typeCheckingMode": "basic", "extraPaths": ["{ROOT}"], "reportUnusedExpression": false}}')
    command = [Path(sys.executable).parent / 'basedpyright', '-p', tmp_path]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path).stdout
    assert re.findall(r'"(\w+)" is not a known attribute', found) == ['laod']


@pytest.mark.parametrize('old, new', OLD)
def test_an_old_module_names_its_successor(old, new):
    successors = re.findall(r'`(nvae\.[\w.]+)`', new)
    with pytest.raises(ImportError) as told:
        exec(f'from nvae.{old} import nothing')
    is_elsewhere = successors and f'nvae.{old}' not in successors
    assert not is_elsewhere or successors[0] in str(told.value)

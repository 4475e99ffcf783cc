"""The `nvae` command: what it prints, its exit codes, and that bad input costs one line; as a process of its own where
the process matters"""
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from nvae.cli import main as cli
from nvae.cli.models import info
from nvae.cli.training import HEADER
from nvae.config import Config, ModelConfig, list_configs, load_config
from nvae.network.model import NVAE
from nvae.runs.checkpoint import save_model

COMMAND = str(Path(sys.executable).with_name('nvae'))
COMMANDS = [command.name for command in cli.app.registered_commands]


@pytest.fixture(scope='session')
def model_file(tmp_path_factory):
    "A small untrained model as `nvae train` would leave it, with BatchNorm statistics that fit nothing"
    torch.manual_seed(0)
    tiny = ModelConfig(image_size=16, channels=8, n_groups=1, z_channels=4, enc_cells=1, dec_cells=1, n_mix=2)
    model = NVAE(Config(name='small', model=tiny)).eval()
    for name, buffer in model.named_buffers():
        if name.endswith('running_mean'):
            buffer.normal_()
    return save_model(model, tmp_path_factory.mktemp('models') / 'small.model', epoch=3)


@pytest.fixture
def process(tmp_path):
    "process('sample', ...) runs the installed command in an empty folder"
    env = {**os.environ, 'OMP_NUM_THREADS': '1'}

    def run(*args):
        return subprocess.run([COMMAND, *map(str, args)], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
    return run


def is_one_line(done, code):
    "Exit code as promised, one line, no traceback"
    is_line = len(done.stderr.splitlines()) == 1 and done.stderr.startswith('nvae: ')
    return done.returncode == code and is_line


def test_help_loads_nothing_heavy():
    command = [sys.executable, '-X', 'importtime', '-c', "from nvae.cli.main import main; main(['--help'])"]
    imported = subprocess.run(command, capture_output=True, text=True).stderr
    assert 'nvae.cli.pictures' in imported
    assert not re.search(r'\| +(torch|matplotlib|accelerate|numpy|PIL)$', imported, re.M)


def test_nvae_alone_prints_the_help(process):
    assert process().stdout == process('--help').stdout != ''


def test_help_says_whole_sentences_of_every_command(process):
    listed = process('--help').stdout.split('Commands:')[1].split('To begin')[0].strip().splitlines()
    assert [line.split()[0] for line in listed] == COMMANDS
    assert all(re.search(r'[^.]\.$', line) for line in listed), listed


@pytest.mark.parametrize('command', COMMANDS)
def test_every_command_teaches_by_an_example_that_parses(nvae, command):
    text = nvae(command, '--help').stdout
    example = re.search(rf'Example:\n +nvae {command}(.*)', text)
    assert example, text
    for option in re.findall(r'--[\w-]+', example[1]):
        assert re.search(rf'^ +(-\w, )?{option}\b', text, re.M), option


BAD = {
    'unknown command': (['sampel'], "Did you mean 'sample'"),
    'unknown option': (['sample', '{model}', '0.7', '--sede', '3'], '--seed'),
    'missing argument': (['sample', '{model}'], "Missing argument 'TEMPERATURE'"),
    'temperature above 2': (['sample', '{model}', '2.5'], 'TEMPERATURE'),
    'temperature below 0': (['sample', '{model}', '-0.5'], '0 or more'),
    'temperature that is none': (['sample', '{model}', 'warm'], 'TEMPERATURE'),
    'temperature not a number': (['sample', '{model}', 'nan'], 'TEMPERATURE'),
    'temperatures of another model, for a page': (
        ['sample', '{model}', '0.7,0.7,0.7,0.7,0.7', '--app'], '5 numbers given'),
    'negative iterations': (['sample', '{model}', '0.7', '--', '-1'], 'ITERATIONS'),
    'no images': (['sample', '{model}', '0.7', '--n', '0'], '--n'),
    'other pixels': (['sample', '{model}', '0.7', '--pixels', 'median'],
                     "'--pixels': 'median' is not one of 'mean', 'sample'"),
    'missing file': (['sample', 'nowhere.model', '0.7'], 'nowhere.model'),
    'model in the home of nobody': (['info', '~nosuchuser/m.model'], 'no home folder'),
    'missing file in info': (['info', 'nowhere.model'], 'nowhere.model'),
    'folder for a file': (['info', '.'], 'that of a folder'),
    'unwritable folder': (['sample', '{model}', '0.7', '0', '--out', '{model}/x.png'], "can't be written"),
    'missing image': (['interpolate', '{model}', 'nowhere.png', 'nowhere.png'], 'nowhere.png'),
    'image that can not be read': (['reconstruct', '{model}', '/proc/self/mem'], "can't be read as an image"),
    'image that is none': (['reconstruct', '{model}', '{model}'], "can't be read as an image"),
    'unknown group': (['explore', '{model}', '0.7', '0', '--group', '9'], 'groups 0 to 1'),
    'unknown configuration to measure': (['bench', '--config', 'quikstart'], "did you mean 'quickstart'"),
    'unknown configuration': (['configs', 'quikstart'], "did you mean 'quickstart'"),
    'training an unknown configuration': (['train', 'quikstart'], "did you mean 'quickstart'"),
    'misspelt key in --set': (['train', 'quickstart', '--set', 'n_group=3'], "did you mean 'n_groups'"),
    'value out of range in --set': (['train', 'quickstart', '--set', 'lr=-1'], '> 0'),
    '--set without a value': (['train', 'quickstart', '--set', 'lr'], 'key=value'),
    'missing YAML': (['train', 'mine.yaml'], 'mine.yaml'),
    'missing data folder': (['train', 'quickstart', '--data', 'nowhere'], 'nowhere'),
}


@pytest.mark.parametrize('args,says', BAD.values(), ids=BAD)
def test_bad_input_costs_one_line(nvae, model_file, tmp_path, args, says):
    done = nvae(*(a.replace('{model}', str(model_file)) for a in args))
    assert is_one_line(done, 2), (done.returncode, done.stderr)
    assert says in done.stderr
    assert not list(tmp_path.rglob('*.png')) and not list(tmp_path.rglob('*.model'))


def test_training_on_a_folder_that_nobody_named_starts_nothing(nvae, tmp_path):
    done = nvae('train', 'folder32')
    assert is_one_line(done, 2) and 'data.root is not set' in done.stderr, done.stderr
    assert not list(tmp_path.rglob('*')), 'nothing is made'


BAD_YAML = {
    'misspelt key': ('model: {n_scale: 3}', "did you mean 'n_scales'"),
    'list': ('[1, 2]', 'expected keys and values'),
    'odd size': ('model: {image_size: 36, n_scales: 3}', '36 / 2^3'),
    'open bracket': ('model: {channels: [}', 'line 1'),
    'bytes': ('\x00\x01', 'YAML'),
}


@pytest.mark.parametrize('text,says', BAD_YAML.values(), ids=BAD_YAML)
def test_bad_yaml_costs_one_line(nvae, tmp_path, text, says):
    (tmp_path / 'mine.yaml').write_text(text)
    done = nvae('train', 'mine.yaml')
    assert is_one_line(done, 2), done.stderr
    assert says in done.stderr and 'mine.yaml' in done.stderr


def test_files_that_are_no_models_are_refused_and_not_run(nvae, model_file, tmp_path):
    class Attack:
        def __reduce__(self): return os.system, (f'touch {tmp_path}/was_run',)

    (tmp_path / 'posing.model').write_bytes(pickle.dumps(Attack()))
    torch.save(Attack(), tmp_path / 'posing.checkpoint')
    (tmp_path / 'cut.model').write_bytes(model_file.read_bytes()[:-100])
    (tmp_path / 'text.model').write_text('not a model')
    for name in ('posing.model', 'posing.checkpoint', 'cut.model', 'text.model'):
        assert is_one_line(nvae('info', name), 2), name
        assert is_one_line(nvae('sample', name, '0.7'), 2), name
    assert not (tmp_path / 'was_run').exists()


def test_debug_shows_the_traceback_and_keeps_the_exit_code(process):
    assert is_one_line(process('info', 'nowhere.model'), 2)
    done = process('info', 'nowhere.model', '--debug')
    assert done.returncode == 2
    assert 'Traceback' in done.stderr and done.stderr.splitlines()[-1].startswith('nvae: ')


@pytest.mark.parametrize('error,code', [(RuntimeError('out\nof luck'), 1), (KeyboardInterrupt(), 130)])
def test_failures_and_interruptions_have_their_own_codes(monkeypatch, capsys, error, code):
    def fail(*_): raise error

    monkeypatch.setitem(info.__globals__, 'about', fail)
    assert cli.main(['info', 'x']) == code
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and (code == 130 or 'RuntimeError: out of luck' in said)


def test_configs_counts_what_building_the_model_gives(nvae):
    names = ['quickstart', 'mnist_1gpu']
    rows = {row['name']: row for row in json.loads(nvae('configs', *names, '--json').stdout)}
    for name in names:
        cfg = load_config(name)
        assert rows[name]['parameters'] == sum(p.numel() for p in NVAE(cfg).parameters())
        assert rows[name]['groups'] == sum(cfg.model.groups_per_scale)


def test_configs_lists_all(nvae, monkeypatch):
    known = dict(parameters=1, groups=1, latents=1, image=(3, 8, 8), memory=1, description='')
    monkeypatch.setattr('nvae.network.cost.describe', lambda cfg: dict(known, name=cfg.name))
    assert [line.split()[0] for line in nvae('configs').stdout.splitlines()[1:]] == list(list_configs())


def test_configs_prints_a_table(nvae):
    header, row = nvae('configs', 'quickstart').stdout.splitlines()
    assert header.split() == HEADER.split() and row.startswith('quickstart')


def test_own_configurations_are_listed(nvae, tmp_path):
    (tmp_path / 'model_configs').mkdir()
    (tmp_path / 'model_configs/mine.yaml').write_text('model: {channels: 8}')
    assert 'mine' in nvae('configs', 'mine').stdout


def pixels(path):
    return Image.open(path).convert('RGB').tobytes()


def test_sample_repeats_by_seed_and_leaves_the_file_alone(nvae, model_file, tmp_path):
    before = model_file.read_bytes()
    for seed, out in ((0, 'a.png'), (0, 'b.png'), (1, 'new/c.png')):
        done = nvae('sample', model_file, '0.7', '2', '--seed', seed, '--out', out)
        assert (done.returncode, done.stdout.strip()) == (0, out), done.stderr
    a, b, c = (pixels(tmp_path / name) for name in ('a.png', 'b.png', 'new/c.png'))
    assert a == b != c
    assert model_file.read_bytes() == before


def test_sample_options_change_the_picture(nvae, model_file, tmp_path):
    variants = {'plain': ['2'], 'stored': ['0'], 'noisy': ['2', '--pixels', 'sample'], 'one': ['2', '--n', '1']}
    for name, more in variants.items():
        assert nvae('sample', model_file, '0.7', *more, '--out', f'{name}.png').returncode == 0
    assert len({pixels(tmp_path / f'{name}.png') for name in variants}) == len(variants)
    assert Image.open(tmp_path / 'one.png').width < Image.open(tmp_path / 'plain.png').width


def test_sample_makes_up_a_name(nvae, model_file, tmp_path):
    name = nvae('sample', model_file, '0.7', '0').stdout.strip()
    assert (tmp_path / name).is_file() and 'small' in name


@pytest.fixture
def faces(tmp_path):
    "Two image files, of a size that is not the model's"
    paths = [tmp_path / 'anna.png', tmp_path / 'berta.jpg']
    for path, colour in zip(paths, ('tomato', 'teal')):
        Image.new('RGB', (40, 30), colour).save(path)
    return paths


def is_near(picture, x, y, colour):
    "Is the pixel there of about that colour?"
    return max(abs(a - b) for a, b in zip(picture.getpixel((x, y)), colour)) < 6


def test_interpolate_and_reconstruct_show_the_originals(nvae, model_file, faces, tmp_path):
    assert nvae('interpolate', model_file, *faces, 3, '--out', 'i.png').returncode == 0
    assert nvae('reconstruct', model_file, *faces, '--groups', 1, '--out', 'r.png').returncode == 0
    line, rows = (Image.open(tmp_path / name).convert('RGB') for name in ('i.png', 'r.png'))
    for picture in (line, rows):
        assert is_near(picture, 10, 10, (255, 99, 71))
        assert is_near(picture, picture.width - 10, 10, (0, 128, 128))


def test_explore_varies_all_but_the_first_column(nvae, model_file, tmp_path):
    for name, strength in (('still', '0'), ('moved', '2')):
        args = ['--n', '2', '--strength', strength, '--out', f'{name}.png']
        assert nvae('explore', model_file, '0', '0', *args).returncode == 0
    still, moved = (Image.open(tmp_path / f'{name}.png').convert('RGB') for name in ('still', 'moved'))
    first, rest = (0, 0, 130, still.height), (130, 0, still.width, still.height)
    assert still.crop(first).tobytes() == moved.crop(first).tobytes()
    assert still.crop(rest).tobytes() != moved.crop(rest).tobytes()


def test_bench_measures_and_names_its_conditions(nvae):
    args = ['--set', 'channels=8', '--batch-size', '2', '--threads', '1', '--seconds', '0', '--json']
    result = json.loads(nvae('bench', *args).stdout)
    assert result['training']['median'] > 0 and result['sampling']['median'] > 0
    assert result['machine']['threads'] == 1
    assert (result['config'], result['training']['batch_size']) == ('quickstart', 2)


def test_info_tells_configuration_and_facts(nvae, model_file):
    about = json.loads(nvae('info', model_file, '--json').stdout)
    assert (about['name'], about['facts'], about['config']['model']['channels']) == ('small', {'epoch': 3}, 8)
    text = nvae('info', model_file).stdout
    assert re.search(r'^epoch +3$', text, re.M) and re.search(r'^name +small$', text, re.M)

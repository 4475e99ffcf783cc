"Loose ends of the border: what a run's data remark, paths, strangers' texts, files of others beside ours"
import json
import os
import time
from types import SimpleNamespace

import pytest
import torch
from small_models import small_network, small_run
from training import config, loaders

from nvae.boards.cherry import CherryBoard
from nvae.boards.sample import SampleBoard
from nvae.boards.session import list_models, runs_folder
from nvae.cli.main import main
from nvae.config import Config, DataConfig, find_config, load_config
from nvae.data.images import cache_dir, load_image
from nvae.data.sources import dataloaders
from nvae.errors import BadInput
from nvae.evaluation.fid import fid_metric
from nvae.files import put_file
from nvae.noise import draw_noise
from nvae.plots.curves import draw_curves
from nvae.plots.pictures import image_grid, read_png_meta, save_film, save_png
from nvae.runs.checkpoint import OWN_MODELS, load_model, model_file, read_file, save_model
from nvae.runs.folder import RunDir, open_run, read_metrics, read_status, write_status
from nvae.runs.listing import find_runs
from nvae.sampling.provenance import read_picks
from nvae.sampling.sample import draw_images, sample_images
from nvae.schedule.compare import read_run, settings_of
from nvae.schedule.deliverables import EVALUATION, drawing_of, finish, is_newer, left_to_do, read_evaluation
from nvae.schedule.dispatch import Screen, run_plan
from nvae.schedule.plan import Evaluate, Sample, load_plan
from nvae.training.fit import fit
from nvae.training.launch import fit_together
from nvae.training.monitor import is_no_better


def told(run):
    "What befell a run: all that metrics.jsonl says, and the last that status.json does"
    records = [r['message'] for r in read_metrics(run.metrics) if r['kind'] == 'event']
    return records, [message for _, message in read_status(run)['events']]


# --- what the data remark

def test_remarks_of_the_data_are_said_once_in_a_run(tmp_path):
    def with_remark(cfg, remark):
        found = loaders(cfg)
        found.info['remarks'] = [remark]
        return found
    first, longer = config(epochs=1), config(epochs=1.4)
    fit(first, open_run(first, tmp_path), with_remark(first, 'skipped 1 of 41 files'))
    run = RunDir(tmp_path / 'small')
    assert told(run)[1].count('skipped 1 of 41 files') == 1
    fit(longer, open_run(longer, tmp_path), with_remark(longer, 'skipped 1 of 41 files'))
    assert told(run)[0].count('skipped 1 of 41 files') == 1
    fit(longer, open_run(longer, tmp_path, fresh=True), with_remark(longer, 'a set that is flat'))
    assert 'a set that is flat' in told(run)[1]


def test_a_damaged_cache_is_a_remark(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('NVAE_CACHE', str(tmp_path))
    small = dict(model=dict(image_size=16), data=dict(n_train=8, n_test=8), train=dict(batch_size=4))
    whole = dataloaders(Config.from_dict(small))
    assert 'remarks' not in whole.info
    for pixels in tmp_path.glob('*/pixels.u8'): pixels.write_bytes(b'')
    again = dataloaders(Config.from_dict(small))
    assert [remark.rpartition(' damaged ')[2] for remark in again.info['remarks']] == [
        '(pixels.u8 has another length) and made anew'] * 2
    assert capsys.readouterr().err.count('made anew') == 2
    assert again.info['train_sha256'] == whole.info['train_sha256']


# --- paths of people

IMPOSSIBLE = ['', '.', 'a\0b', '~nosuchuser/a', 'x' * 300, 'bad-\udcff']


@pytest.mark.parametrize('path', IMPOSSIBLE)
@pytest.mark.parametrize('use', [
    model_file, load_model, find_config, read_png_meta, read_picks, load_plan, run_plan,
    lambda path: load_image(path, config().model), lambda path: fid_metric(weights=path),
    lambda path: put_file(path, lambda beside: None), lambda path: save_png(image_grid(torch.rand(1, 3, 4, 4)), path),
    lambda path: save_film(torch.rand(1, 3, 4, 4), path)])
def test_what_is_no_path_of_a_file(path, use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput): use(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('path', IMPOSSIBLE[2:])
def test_what_is_no_path_of_a_folder(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for use in find_runs, list_models, runs_folder, lambda path: open_run(config(), path):
        with pytest.raises(BadInput): use(path)
    if '\0' in path: return
    for variable, use in dict(NVAE_CACHE=cache_dir, XDG_CACHE_HOME=cache_dir, NVAE_RUNS=runs_folder).items():
        with monkeypatch.context() as patched:
            if variable != 'NVAE_CACHE': patched.delenv('NVAE_CACHE', raising=False)
            patched.setenv(variable, path)
            with pytest.raises(BadInput): use()


@pytest.mark.parametrize('line', [
    'sample demo 0.7 --out PATH', 'sample --like PATH', 'sample PATH 0.7', 'reconstruct demo PATH',
    'restore demo PATH --noise 0.1', 'restore demo a.png --mask PATH',
    'mix demo PATH PATH', 'interpolate demo PATH PATH', 'explore demo 0.7 --out PATH', 'export demo PATH',
    'import PATH a.model', 'evaluate demo --fid --inception PATH', 'evaluate demo --data PATH', 'info PATH',
    'train PATH', 'train quickstart --runs PATH', 'train quickstart --data PATH', 'runs --runs PATH', 'schedule PATH',
    'score PATH demo', 'score demo demo --out PATH', 'bench --config PATH'])
@pytest.mark.parametrize('path', ['', 'a\0b', '~nosuchuser/a'])
def test_lines_with_what_is_no_path(line, path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([path if word == 'PATH' else word for word in line.split()]) == 2
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and said.isprintable() is False and '\0' not in said, said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('kind', [SampleBoard, CherryBoard])
def test_boards_save_where_there_can_be_a_file(kind, tmp_path, monkeypatch):
    small_run(tmp_path / 'runs')
    monkeypatch.chdir(tmp_path)
    board = kind('small', iterations=0, n=2, runs=tmp_path / 'runs').wait()
    if kind is CherryBoard: board.pick(0)
    before = sorted(tmp_path.rglob('*'))
    for path in IMPOSSIBLE:
        with pytest.raises(BadInput, match="can't be the name of a file|there is no home folder"): board.save(path)
    assert sorted(tmp_path.rglob('*')) == before


def test_home_is_meant_by_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    save_model(small_network(), tmp_path / 'a.model')
    assert model_file('~/a.model') == tmp_path / 'a.model'
    assert main(['export', '~/a.model', '~/b.model']) == 0 and (tmp_path / 'b.model').exists()


# --- strangers' texts

@pytest.mark.parametrize('text', ['[' * 100_000, '{"a": 1, "a": 2}', '{"n": ' + '9' * 5000 + '}', '3'])
def test_a_picture_that_says_something_odd(text, tmp_path, monkeypatch):
    monkeypatch.setattr('nvae.plots.pictures.json.dumps', lambda meta: text)
    path = save_png(image_grid(torch.rand(1, 3, 4, 4)), tmp_path / 'a.png', {})
    with pytest.raises(BadInput, match="doesn't say how it was made"): read_png_meta(path)


def test_texts_of_strangers_do_not_steer_a_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'model_configs').mkdir()
    (tmp_path / 'model_configs/odd.yaml').write_text(r'{description: "\e[31mred \u202e"}')
    assert main(['configs', 'odd']) == 0
    model = small_network()
    save_model(model, tmp_path / 'a.model', note='\x1b[31mred')
    assert main(['info', 'a.model']) == 0
    said = capsys.readouterr().out
    assert said.count('red') == 2 and all(line.isprintable() for line in said.splitlines()), said


# --- files of others beside ours

def test_a_foreign_file_among_the_configurations(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'model_configs'
    folder.mkdir()
    (folder / 'compose.yaml').write_text('services: {web: {image: nginx}}')
    (folder / 'broken.yaml').write_text('a: [')
    (folder / 'folder.yaml').mkdir()
    (folder / 'gone.yaml').symlink_to('/nowhere')
    assert main(['configs']) == 0
    out, err = capsys.readouterr()
    assert 'quickstart' in out and 'compose' not in out
    for name in ('compose', 'broken', 'folder', 'gone'): assert f'{name}.yaml' in err, err
    assert err.count('left out') == 4, err
    assert main(['configs', 'quickstart']) == 0 and main(['configs', 'broken']) == 2


def test_models_that_lead_nowhere(tmp_path):
    (tmp_path / 'best').mkdir()
    (tmp_path / 'best/b.model').symlink_to('/gone.model')
    (tmp_path / 'a').mkdir()
    save_model(small_network(), tmp_path / 'a/a.model')
    assert [name for name in list_models(tmp_path) if name not in OWN_MODELS] == ['a']


@pytest.fixture
def measured_run(tmp_path, monkeypatch):
    "A run of an untrained network with evaluation and picture, and what was asked for"
    monkeypatch.setenv('NVAE_CACHE', str(tmp_path / 'cache'))
    model = small_network(data=DataConfig(n_train=8, n_test=8))
    run = open_run(model.config, tmp_path)
    asked = dict(evaluate=Evaluate(importance_samples=2).model_dump(), sample=[Sample(n=2, iterations=0).model_dump()])
    save_model(model, run.model)
    finish(load_model(run.model, 'cpu'), run, **asked)
    return run, asked


def test_a_model_of_tomorrow_is_measured_once(measured_run):
    run, asked = measured_run
    tomorrow = time.time() + 86_400
    os.utime(run.model, (tomorrow, tomorrow))
    assert left_to_do(run, **asked) == (None, [])
    other = load_model(run.model, 'cpu')
    with torch.no_grad(): other.stem.bias += 1
    save_model(other, run.model)
    os.utime(run.model, (tomorrow, tomorrow))
    assert left_to_do(run, **asked) == (asked['evaluate'], asked['sample'])
    assert not is_newer(drawing_of(run, asked['sample'][0]), run)


@pytest.mark.parametrize('text', ['', '[' * 100_000, '3', '{}', '{"protocol": 1}', '{"nll": "x"}', '\x00'])
def test_a_damaged_evaluation_is_made_again(measured_run, text):
    run, asked = measured_run
    (run.path / EVALUATION).write_text(text)
    assert read_evaluation(run) is None and left_to_do(run, **asked)[0] == asked['evaluate']
    run.config.write_text(text)
    assert settings_of(run) == {}


def test_a_plan_says_what_befell_its_runs(tmp_path, capsys):
    plan = tmp_path / 'p.yaml'
    plan.write_text('runs: [{config: quickstart, name: a}]')
    jobs = load_plan(plan, tmp_path)
    run = jobs[0].run(tmp_path)
    run.path.mkdir()
    write_status(run, state='done', events=[(1, 'of an earlier start')])
    screen = Screen(jobs, tmp_path)
    for events in [(1, 'step 3: skipped')], [(1, 'step 3: skipped'), (2, 'back to \x1b[31m step 2')]:
        write_status(run, state='training', events=events)
        for _ in range(2): screen.show({'a': 'cpu0'}, {})
    said = capsys.readouterr().out
    assert said.count('a: step 3: skipped') == said.count('a: back to') == 1, said
    assert 'earlier' not in said and '\x1b' not in said, said


def test_settings_left_by_accelerate_config_are_not_read(tmp_path, monkeypatch):
    "`accelerate launch` reads ~/.cache/huggingface/accelerate/default_config.yaml unless it is given another"
    (tmp_path / 'home/accelerate').mkdir(parents=True)
    (tmp_path / 'home/accelerate/default_config.yaml').write_text(
        '{compute_environment: LOCAL_MACHINE, distributed_type: FSDP, mixed_precision: fp16, of_a_later_version: 1}')
    monkeypatch.setenv('HF_HOME', str(tmp_path / 'home'))
    monkeypatch.setenv('NVAE_CACHE', str(tmp_path / 'cache'))
    cfg = config(epochs=1, batch_size=4, data=dict(n_train=8, n_test=8))
    fit_together(cfg, open_run(cfg, tmp_path), processes=2)
    assert read_file(tmp_path / 'small/small.model')['facts']['precision'] == 'float32'


# --- much at once

def test_many_samples_are_drawn_in_parts(monkeypatch):
    model, parts = small_network().eval(), []
    whole = draw_images(model, draw_noise(model.cfg, 130, 3), .7, 'sample', 3)
    def noted(model, noise, *args):
        parts.append(len(noise[0]))
        return draw_images(model, noise, *args)
    monkeypatch.setattr('nvae.sampling.sample.draw_images', noted)
    assert torch.equal(sample_images(model, 130, .7, 0, seed=3, pixels='sample'), whole)
    assert parts == [64, 64, 2]


@pytest.mark.parametrize('name, steps', [('demo', 4020), ('demo32', 10000), ('digits', 5820)])
def test_the_models_that_come_with_the_kit_have_a_digest(name, steps):
    ours = read_file(name)
    assert ours['digest'] and model_file(name).stat().st_size < (8e6 if name == 'demo' else 3.1e6)
    assert ours['facts']['step'] == steps
    there, now = Config.from_dict(ours['config']), load_config(name)
    assert (there.model, there.data) == (now.model, now.data)


def test_records_of_a_run_that_lost_a_value_are_no_trouble(tmp_path):
    run = RunDir(tmp_path / 'a')
    run.path.mkdir()
    whole = dict(kind='test', step=4, epoch=1., seconds=2., nelbo=9., value=3., unit='bits/dim')
    lines = [dict(kind='test', step=0, epoch=0., value=5.), dict(kind='train', step=1), whole,
             dict(kind='test', step=8, value=2.)]
    run.metrics.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    state = SimpleNamespace(run=run, progress=SimpleNamespace(held_out=9.))
    assert not is_no_better(state)
    assert read_run(run)['tests'] == [(0., 5.), (1., 3.), (0, 2.)]
    assert len(draw_curves(read_metrics(run.metrics)).axes) >= 1

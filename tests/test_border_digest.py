"What training reads and writes: damaged, lost and non-finite files; each of these tests failed before"
import math
import random
import shutil
import signal

import pytest
import torch
from training import assert_same_run, config, differences, loaders, train, trained

import nvae.training.fit
from nvae.data.batches import loaders_from
from nvae.errors import BadInput
from nvae.noise import own_generators
from nvae.runs.checkpoint import load_model, previous, read_checkpoint, read_file, save_checkpoint, save_model
from nvae.runs.folder import RunDir, open_run, read_metrics, read_status
from nvae.training.fit import RETURNS, Interrupted, TrainingFailed, fit, train_step
from nvae.training.state import new_state

EACH_STEP = dict(checkpoint_every=.2)


def events(run):
    return [r['message'] for r in read_metrics(run.metrics) if r['kind'] == 'event']


def stop_at(step):
    "A watcher that asks for a stop after some step"
    def watch(status, records, last=False):
        watch.steps += 1
        if watch.steps == step: signal.raise_signal(signal.SIGTERM)
    watch.steps = 0
    return watch


def at_step(monkeypatch, step, change):
    "A watcher that changes the state of a run after some step"
    begun, original = [], nvae.training.fit.start_or_resume
    def remembered(*args):
        begun.append(original(*args))
        return begun[-1]
    monkeypatch.setattr(nvae.training.fit, 'start_or_resume', remembered)
    def watch(status, records, last=False):
        if begun[-1].progress.step == step and not watch.done:
            watch.done = True
            change(begun[-1])
    watch.done = False
    return watch


@pytest.mark.parametrize('seed', range(4))
def test_a_damaged_newest_checkpoint_falls_back(tmp_path, capsys, seed):
    "A flipped bit among the numbers: the run ends as it would have, from the one before, which is named"
    cfg = config(**EACH_STEP)
    whole = trained(cfg, tmp_path/'whole')
    run = RunDir(tmp_path/'small')
    with pytest.raises(Interrupted): train(cfg, tmp_path, stop_at(6))
    content, rng = bytearray(run.checkpoint.read_bytes()), random.Random(seed)
    content[rng.randrange(len(content)//3, len(content)*2//3)] ^= 1 << rng.randrange(8)
    before = read_checkpoint(run.checkpoint)
    run.checkpoint.write_bytes(content)
    try: is_padding = not differences(read_checkpoint(run.checkpoint), before)
    except BadInput: is_padding = False
    trained(cfg, tmp_path)
    assert_same_run(whole, run)
    said = [event for event in events(run) if 'small.checkpoint' in event]
    if is_padding: return
    assert 'damaged' in said[0] and 'trying the one before' in said[0]
    assert said[0] in capsys.readouterr().out
    assert said[0] in [message for _, message in read_status(run)['events']]


@pytest.mark.parametrize('wrong', [dict(progress='x'), dict(optimizer='x'), dict(spectral=[1]), dict(data='x'),
                                   dict(model=3), dict(ema=[1]), dict(config=[1]), dict(scaler='x')])
def test_a_checkpoint_with_wrong_contents(tmp_path, wrong):
    "The one before is taken; where there is none, the run is refused in words"
    cfg = config(epochs=1, **EACH_STEP)
    run = trained(cfg, tmp_path)
    torch.save(read_checkpoint(run.checkpoint) | wrong, run.checkpoint)
    train(config(epochs=1.4, **EACH_STEP), tmp_path)
    assert 'trying the one before' in events(run)[0]
    torch.save(read_checkpoint(run.checkpoint) | wrong, run.checkpoint)
    previous(run.checkpoint).unlink()
    with pytest.raises(BadInput, match='small.checkpoint'): train(cfg, tmp_path)


def test_more_accumulated_than_a_pass_has(tmp_path):
    with pytest.raises(BadInput, match='train.accumulate: 6 batches are one step, but a pass over the data has 5'):
        train(config(accumulate=6), tmp_path)


@pytest.mark.parametrize('harm', ['deleted', 'cut'])
def test_the_model_of_a_finished_run_is_rebuilt(tmp_path, harm):
    run = trained(config(), tmp_path)
    whole = read_file(run.model)['digest']
    if harm == 'deleted': run.model.unlink()
    else: run.model.write_bytes(run.model.read_bytes()[:-9])
    train(config(), tmp_path)
    assert read_file(run.model)['digest'] == whole
    assert 'small.model was missing or damaged' in events(run)[-1]


@pytest.mark.parametrize('every', [.2, .4])
def test_a_rate_of_ten_with_many_checkpoints(tmp_path, every):
    "A checkpoint between two skipped steps is no progress: the run ends in words, not with a network of no use"
    cfg = config(lr=10., lr_warmup=0, lr_min=10., epochs=6, eval_every=3, checkpoint_every=every)
    with pytest.raises(TrainingFailed, match=f"{RETURNS} returns to the checkpoint"): train(cfg, tmp_path)
    assert read_status(RunDir(tmp_path/'small'))['state'] == 'failed'


def test_nan_in_every_gradient(tmp_path, monkeypatch):
    "No step is ever taken"
    def spoil(state): state.model.stem.weight.register_hook(lambda g: g*math.nan)
    original = nvae.training.fit.start_or_resume
    def begun(*args):
        state = original(*args)
        spoil(state)
        return state
    monkeypatch.setattr(nvae.training.fit, 'start_or_resume', begun)
    with pytest.raises(TrainingFailed, match='first in the gradient of stem.weight'):
        train(config(epochs=9, **EACH_STEP), tmp_path)


def variance(state): next(b for n, b in state.model.named_buffers() if n.endswith('running_var'))[0] = math.inf
def gate(state): next(p for n, p in state.model.named_parameters() if n.endswith('bias')).data[0] = math.inf


@pytest.mark.parametrize('harm', [variance, gate])
@pytest.mark.parametrize('ema_decay', [0., .9])
def test_no_file_holds_a_number_that_is_not_finite(tmp_path, monkeypatch, harm, ema_decay):
    "Looked at before it is written, at an evaluation without a checkpoint too"
    cfg = config(epochs=2, eval_every=.2, checkpoint_every=1, ema_decay=ema_decay)
    files = []
    def check(run):
        for file in (run.best, run.checkpoint): files.append(read_checkpoint(file)['model'])
        files.append(read_file(run.model)['weights'])
        for weights in files: assert all(v.isfinite().all() for v in weights.values())
    spoil = at_step(monkeypatch, 2, harm)
    def watch(status, records, last=False):
        spoil(status, records, last)
        if (tmp_path/'small'/'small.checkpoint').exists(): check(RunDir(tmp_path/'small'))
    train(cfg, tmp_path, watch)
    assert files and any('not finite' in event for event in events(RunDir(tmp_path/'small')))


def test_the_writers_refuse_what_is_not_finite(tmp_path):
    run = trained(config(epochs=.2), tmp_path)
    content = read_checkpoint(run.checkpoint)
    for key in ('format', 'version', 'method'): del content[key]
    content['optimizer']['state'][0]['exp_inf'][0] = math.inf
    with pytest.raises(BadInput, match=r'optimizer.state.0.exp_inf holds a number'):
        save_checkpoint(content, tmp_path/'x.checkpoint')
    model = load_model(run.model, 'cpu')
    variance(type('', (), dict(model=model)))
    with pytest.raises(BadInput, match='running_var holds a number'): save_model(model, tmp_path/'x.model')
    assert not [*tmp_path.glob('*x.*')]


def test_a_run_without_its_checkpoints_is_not_begun_anew(tmp_path):
    "Deleted for room, or left out by git: what was trained stays, and --fresh is named"
    run = trained(config(), tmp_path)
    kept = {p.name: p.read_bytes() for p in (run.model, run.metrics)}
    for file in run.path.glob('*.checkpoint'): file.unlink()
    for lost in (lambda: None, lambda: run.metrics.unlink()):
        lost()
        with pytest.raises(BadInput, match='no checkpoint to go on from.*--fresh'): train(config(), tmp_path)
        assert run.model.read_bytes() == kept['small.model']
    run.model.unlink()
    run.metrics.write_bytes(kept['metrics.jsonl'])
    with pytest.raises(BadInput, match='a run of 10 steps'): train(config(), tmp_path)
    assert run.metrics.read_bytes() == kept['metrics.jsonl']
    fit(config(), open_run(config(), tmp_path, fresh=True), loaders(config()))


def test_a_folder_of_somebody_else(tmp_path):
    (tmp_path/'small').mkdir()
    (tmp_path/'small'/'small.model').write_text('mine')
    with pytest.raises(BadInput, match='no checkpoint to go on from'): train(config(), tmp_path)
    assert (tmp_path/'small'/'small.model').read_text() == 'mine'


def test_a_run_killed_before_its_first_checkpoint_begins_again(tmp_path, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(OSError):
        def killed(*args): raise ConnectionError('killed')
        patched.setattr(nvae.training.fit, 'save', killed)
        train(config(epochs=1), tmp_path)
    assert RunDir(tmp_path/'small').model.exists()
    train(config(epochs=1), tmp_path)


def test_the_culprit_is_named_before_it_is_clipped(tmp_path):
    "A sum that overflows while all of its parts are finite"
    cfg = config(grad_clip=1., lr_warmup=0)
    with own_generators(): state = new_state(cfg, open_run(cfg, tmp_path), loaders(cfg))
    state.model.stem.weight.register_hook(lambda g: g + 1e15)
    original = nvae.training.fit.run_forward
    def overflowing(*args):
        terms = original(*args)
        return terms._replace(kl=terms.kl*math.inf)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(nvae.training.fit, 'run_forward', overflowing)
        said = train_step(state, [next(state.loaders.train.batches(0))])
    assert 'the largest gradient is that of stem.weight, 1e+15' in said


def test_what_was_silent_is_an_event(tmp_path):
    "Other data than at the beginning, images left out, a network that is no better: for the terminal, too"
    cfg = config(epochs=1, lr=1e-9, lr_warmup=0, lr_min=0)
    trained(cfg, tmp_path)
    cfg, run = config(epochs=1.2, lr=1e-9, lr_warmup=0, lr_min=0), RunDir(tmp_path/'small')
    others = loaders_from(cfg, torch.rand(40, 3, 16, 16), torch.rand(8, 3, 16, 16))
    others.info.update(remarks=['skipped 1 of 49 files that are no images: a.txt'])
    fit(cfg, open_run(cfg, tmp_path), others)
    said = [message for _, message in read_status(run)['events']]
    assert said[:2] == ['the data are not the same as when this run began',
                        'skipped 1 of 49 files that are no images: a.txt']
    assert 'no better than before the first step' in said[2]


def test_a_network_without_batch_normalisation(tmp_path):
    run = trained(config(epochs=1, model=dict(n_scales=1, n_groups=1, n_pre_blocks=0)), tmp_path)
    assert not any('running_var' in name for name in read_file(run.model)['weights'])


def test_fresh_models_are_copied_to_the_bit(tmp_path):
    "A copy that was changed by one bit, anywhere, is refused"
    run = trained(config(epochs=.2), tmp_path)
    copy, rng = tmp_path/'copy.model', random.Random(1)
    for _ in range(40):
        shutil.copy(run.model, copy)
        content = bytearray(copy.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        copy.write_bytes(content)
        with pytest.raises(BadInput): load_model(copy, 'cpu')

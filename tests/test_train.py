"What training promises when something goes wrong, and what each of its settings does"
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
from itertools import islice

import pytest
import torch
from accelerate.state import AcceleratorState
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training import config, images, loaders, train, trained

import nvae.training.accelerator
import nvae.training.fit
import nvae.training.state
from nvae.errors import BadInput
from nvae.noise import own_generators
from nvae.plots.pictures import to_pil
from nvae.runs.checkpoint import load_model, previous, read_checkpoint
from nvae.runs.folder import RunDir, open_run, read_metrics, read_status, run_lock
from nvae.training.fit import RETURNS, TrainingFailed, fit, forward_backward, train_step
from nvae.training.monitor import held_out
from nvae.training.state import contents, new_state, restore


@pytest.fixture
def state(tmp_path):
    cfg = config(lr_warmup=0)
    with own_generators(): yield new_state(cfg, open_run(cfg, tmp_path), loaders(cfg))


def take(state, n):
    "What the first n steps say"
    return [train_step(state, [x]) for x in islice(state.loaders.train.batches(0), n)]


def everything(state):
    "Copies of all tensors: parameters, buffers, and the average's"
    average = {f'ema.{k}': v for k, v in state.ema.state_dict().items()}
    return {k: v.clone() for k, v in {**state.objective.state_dict(), **average}.items()}


def assert_same(a, b):
    for k in a: assert torch.equal(a[k], b[k]), k


def events(run):
    return [r['message'] for r in read_metrics(run.metrics) if r['kind'] == 'event']


def kept_step(path):
    "The step of a checkpoint"
    return read_checkpoint(path)['progress']['step']


# trouble: found within the step, said where, undone

def spoil_image(state, x):
    x[3, 0, 5, 5] = math.nan


def spoil_gradient(state, x):
    state.model.stem.weight.register_hook(lambda g: g*math.nan)


def spoil_statistics(state, x):
    norm = state.model.post_process[0].norm1
    norm.register_forward_pre_hook(lambda m, args: (args[0]*math.inf,))


IN_THE_IMAGE = 'images: 1 of 8'
IN_THE_GRADIENT = 'the gradient is not finite, first in the gradient of stem.weight'
IN_AN_OUTPUT = 'first in the output of post_process.0.norm1'


@pytest.mark.parametrize('spoil, words', [
    (spoil_image, IN_THE_IMAGE), (spoil_gradient, IN_THE_GRADIENT), (spoil_statistics, IN_AN_OUTPUT)])
def test_a_bad_step_leaves_no_trace(state, spoil, words):
    assert take(state, 2) == [None, None]
    before, x = everything(state), next(state.loaders.train.batches(1))
    spoil(state, x)
    assert words in train_step(state, [x])
    assert_same(before, everything(state))
    assert state.progress.step == 3


@pytest.fixture
def watched_state(monkeypatch):
    "The states of the runs that `fit` begins"
    begun, original = [], nvae.training.fit.start_or_resume
    def remember(*args):
        begun.insert(0, original(*args))
        return begun[0]
    monkeypatch.setattr(nvae.training.fit, 'start_or_resume', remember)
    return begun


def test_a_spoilt_weight_is_named_and_rolled_back(tmp_path, watched_state):
    "A NaN in one weight: every step is bad until the last checkpoint is taken back, with half the rate, which is kept"
    def watch(status, records, last=False):
        watch.n += 1
        if watch.n == 3: watched_state[0].model.stem.weight.data[0, 0, 0, 0] = math.nan
    watch.n = 0
    train(config(), tmp_path, watch)
    run = RunDir(tmp_path/'small')
    assert 'the weights of stem.weight' in events(run)[0]
    assert 'back to step 0 with half the learning rate' in events(run)[-1]
    content = read_checkpoint(run.checkpoint)
    assert content['progress']['halvings'] == 1
    assert all(v.isfinite().all() for v in content['model'].values())


def assert_finite(run):
    for file in run.path.glob('*.checkpoint'):
        assert all(v.isfinite().all() for v in read_checkpoint(file)['model'].values())


def test_a_rate_of_ten_is_found_out(tmp_path):
    "Found within a step, said where, and met by a return with half the rate, which helps here"
    run = trained(config(lr=10., lr_warmup=0, lr_min=10., epochs=5, checkpoint_every=100, eval_every=100), tmp_path)
    *skipped, returned, _ = events(run)
    assert all('is not finite, first in' in event for event in skipped)
    assert all('skipped' in event for event in skipped)
    assert 'back to step 0 with half the learning rate' in returned
    assert read_checkpoint(run.checkpoint)['progress']['halvings'] == 1
    assert_finite(run)


def test_when_halving_does_not_help(tmp_path):
    "The run fails, with a reason; no file holds a number that isn't finite"
    cfg = config(lr=100., lr_warmup=0, lr_min=100., epochs=30, checkpoint_every=100, eval_every=100)
    reason = f'is not finite, first in .* {RETURNS} returns .* that checkpoint is whole.* train.lr'
    with pytest.raises(TrainingFailed, match=reason): train(cfg, tmp_path)
    run = RunDir(tmp_path/'small')
    assert sum('with half the learning rate' in event for event in events(run)) == RETURNS
    assert read_status(run)['state'] == 'failed'
    assert_finite(run)


def overflow_in_evaluation(state):
    "Statistics that training doesn't use, so that only evaluation meets them"
    state.model.post_process[0].norm1.running_mean.fill_(-1e38)


def test_a_network_of_no_use_is_not_done(tmp_path, watched_state):
    "A held-out likelihood that isn't finite at the end: the run fails, keeps the model from before, and fails again"
    cfg = config(ema_decay=0., eval_every=1)
    def watch(status, records, last=False):
        if watched_state[0].progress.step == 7: overflow_in_evaluation(watched_state[0])
    run = RunDir(tmp_path/'small')
    reason = 'after 10 steps the held-out likelihood is not finite.*small.model is from before that'
    for _ in range(2):
        with pytest.raises(TrainingFailed, match=reason): train(cfg, tmp_path, watch)
        assert read_status(run)['state'] == 'failed'
        facts = load_model(run.model, 'cpu').facts
        assert facts['step'] == 5
        assert math.isfinite(facts['held_out_nelbo'])
    tests = [r for r in read_metrics(run.metrics) if r['kind'] == 'test']
    assert [(r['step'], r['value'] is None) for r in tests] == [(0, False), (5, False), (10, True)]


# the settings

def test_accumulation_averages_gradients(state, monkeypatch):
    "The gradient of two batches at once is the mean of their gradients (statistics and vectors put back between)"
    xs = list(islice(state.loaders.train.batches(0), 2))
    kept = everything(state)
    seeds = iter([0, 1, 0, 1])
    def seeded_forward(state, x, i):
        torch.manual_seed(next(seeds))
        return state.wrapped(x, state.cfg.train, **state.weights)
    def gradient(batches):
        state.objective.load_state_dict({k: v for k, v in kept.items() if not k.startswith('ema')})
        forward_backward(state, batches)
        return torch.cat([p.grad.flatten() for p in state.model.parameters()])
    object.__setattr__(state.cfg.train, 'spectral_lambda_start', None)
    object.__setattr__(state.cfg.train, 'spectral_lambda', 0.)
    state.model.eval()
    for p in state.model.parameters(): p.grad = None
    monkeypatch.setattr(nvae.training.fit, 'run_forward', seeded_forward)
    first, second = (gradient([x]) for x in xs)
    both = gradient(xs)
    n = state.accelerator.gradient_accumulation_steps
    torch.testing.assert_close(both*n/2, (first + second)/2*n, rtol=1e-4, atol=1e-5)


def test_clipping_shortens_the_gradient(tmp_path):
    cfg = config(grad_clip=.5)
    with own_generators():
        state = new_state(cfg, open_run(cfg, tmp_path), loaders(cfg))
        xs = [next(state.loaders.train.batches(0))]
        assert forward_backward(state, xs)[5] > .5
        assert train_step(state, xs) is None
    clipped = torch.cat([p.grad.flatten() for p in state.model.parameters()])
    assert clipped.norm().item() == pytest.approx(.5, rel=1e-4)


def test_recomputing_cells_changes_nothing(tmp_path):
    "With gradient checkpointing: the same weights, and BatchNorm's statistics moved once per step"
    runs = [trained(config(gradient_checkpointing=on, ema_decay=0.), tmp_path/str(on)) for on in (False, True)]
    a, b = (read_checkpoint(run.checkpoint)['model'] for run in runs)
    for k in a: torch.testing.assert_close(a[k], b[k], rtol=1e-4, atol=1e-5, msg=k)
    assert all(v == 10 for k, v in b.items() if k.endswith('num_batches_tracked'))


def test_the_average_is_the_average(state):
    "Against the recursion by hand; statistics are re-estimated, not averaged"
    averages = None
    for n, x in enumerate(islice(state.loaders.train.batches(0), 4)):
        train_step(state, [x])
        weights = [p.detach().clone() for p in state.model.parameters()]
        d = min(.9, (1 + n)/(10 + n))
        averages = weights if averages is None else [d*a + (1 - d)*w for a, w in zip(averages, weights)]
    for a, p in zip(averages, state.ema.module.parameters()):
        torch.testing.assert_close(a, p.detach(), rtol=1e-5, atol=1e-6)


def test_model_file_holds_what_was_evaluated(tmp_path):
    "The averaged weights, with statistics of their own: the figure in the file is reproduced from the file"
    cfg = config()
    model = train(cfg, tmp_path)
    run = RunDir(tmp_path/'small')
    loaded, facts = load_model(run.model, 'cpu'), load_model(run.model, 'cpu').facts
    assert not model.training
    assert facts['averaged']
    with own_generators(): again = held_out(loaded, loaders(cfg).test.batches(), cfg.train.seed)['nelbo']
    assert again == pytest.approx(facts['held_out_nelbo'], rel=1e-5)
    raw = read_checkpoint(run.checkpoint)['model']
    assert not torch.equal(raw['stem.weight'], loaded.stem.weight)
    torch.testing.assert_close(load_model(run.checkpoint, 'cpu').stem.weight, loaded.stem.weight)


def test_bfloat16(tmp_path):
    "It trains on a CPU; what is kept is in float32"
    content = read_checkpoint(trained(config(precision='bfloat16', epochs=1), tmp_path).checkpoint)
    assert content['facts']['precision'] == 'bfloat16'
    assert all(v.dtype == torch.float32 for v in content['model'].values() if v.is_floating_point())


def test_float16(tmp_path):
    "It doesn't exist on a CPU, which is said once and stored"
    with pytest.warns(UserWarning, match='float16 isn.t available on cpu') as said:
        run = trained(config(precision='float16', epochs=1), tmp_path)
    assert len([w for w in said if "isn't available" in str(w.message)]) == 1
    content = read_checkpoint(run.checkpoint)
    assert content['facts']['precision'] == 'float32'
    assert all(v.dtype == torch.float32 for v in content['model'].values() if v.is_floating_point())


# float16: its scaler, which also runs on a CPU; the arithmetic itself needs a GPU

@pytest.fixture
def scaled(tmp_path, monkeypatch):
    "A state whose gradients are scaled"
    original = nvae.training.accelerator.make_accelerator
    def make(scale):
        def with_scaler(*args):
            accelerator, _ = original(*args)
            accelerator.scaler = torch.amp.GradScaler('cpu', init_scale=float(scale))
            return accelerator, 'float16'
        monkeypatch.setattr(nvae.training.state, 'make_accelerator', with_scaler)
        cfg = config(lr_warmup=0)
        state = new_state(cfg, open_run(cfg, tmp_path), loaders(cfg))
        monkeypatch.setattr(nvae.training.state, 'make_accelerator', original)
        monkeypatch.setattr(state.accelerator, 'native_amp', True)
        monkeypatch.setitem(AcceleratorState._shared_state, '_mixed_precision', 'fp16')
        return state
    with own_generators(): yield make


def test_a_scale_changes_nothing(state, scaled):
    "Gradients are unscaled before they are measured and used; powers of two are exact"
    other = scaled(2**10)
    assert take(state, 3) == [None]*3
    assert take(other, 3) == [None]*3
    assert_same(everything(state), everything(other))
    assert state.progress.sums == other.progress.sums


def test_a_scaler_that_seeks_its_scale(scaled):
    "A gradient that overflows by the scale is no trouble: the step is skipped and the scale halved, until it fits"
    state = scaled(2.**126)
    before = everything(state)
    assert take(state, 1) == [None]
    assert state.accelerator.scaler.get_scale() == 2.**125
    assert_same(before, everything(state))
    assert state.progress.count == 0
    assert state.progress.bad == 0
    while not state.progress.count:
        assert take(state, 1) == [None]
        assert state.progress.step < 100
    halvings = state.progress.step - 1
    assert halvings > 4
    assert state.accelerator.scaler.get_scale() == 2.**(126 - halvings)
    other = scaled(2.**16)
    restore(other, contents(state))
    assert other.accelerator.scaler.get_scale() == state.accelerator.scaler.get_scale()


@pytest.mark.parametrize('scale, spoil, words', [
    (2**10, spoil_image, IN_THE_IMAGE), (1, spoil_gradient, IN_THE_GRADIENT)])
def test_trouble_in_float16(scaled, scale, spoil, words):
    "What isn't the scaler's doing is said, and undone like everywhere"
    state = scaled(scale)
    assert take(state, 1) == [None]
    before, x = everything(state), next(state.loaders.train.batches(1))
    spoil(state, x)
    assert words in train_step(state, [x])
    assert_same(before, everything(state))


def test_a_norm_that_overflows_is_not_the_scalers_doing(scaled):
    "All gradients are finite, but their norm isn't: lowering the scale wouldn't help"
    state = scaled(2**10)
    state.model.stem.weight.register_hook(lambda g: g + 1e30)
    assert 'largest gradient is that of stem.weight' in take(state, 1)[0]


def test_looking_changes_nothing(tmp_path):
    "However often previews and evaluations are made, the weights are the same"
    often, seldom = (trained(config(eval_every=e, preview_every=e), tmp_path/str(e)) for e in (.2, 2))
    assert_same(read_checkpoint(often.checkpoint)['model'], read_checkpoint(seldom.checkpoint)['model'])
    assert len(list(often.images.iterdir())) > len(list(seldom.images.iterdir()))


def test_the_first_measurement_is_made_before_the_first_step(tmp_path):
    first = read_metrics(trained(config(epochs=1), tmp_path).metrics)[0]
    assert (first['kind'], first['step'], first['unit']) == ('test', 0, 'bits/dim')


@pytest.mark.parametrize('likelihood, channels, unit', [('bernoulli', 1, 'nats'), ('normal', 3, 'nats (density)')])
def test_units(tmp_path, likelihood, channels, unit):
    run = trained(config(model=dict(likelihood=likelihood, image_channels=channels), epochs=1), tmp_path)
    assert {r['unit'] for r in read_metrics(run.metrics) if 'unit' in r} == {unit}


# other people and other disks

def test_another_network_is_refused(tmp_path):
    run = trained(config(epochs=1), tmp_path)
    before = run.checkpoint.read_bytes()
    with pytest.raises(BadInput, match='z_channels was 2 and is now 3'):
        train(config(epochs=1, model=dict(z_channels=3)), tmp_path)
    assert run.checkpoint.read_bytes() == before


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    "Even when somebody has copied it there"
    a = trained(config(epochs=1), tmp_path/'a')
    b = trained(config(epochs=1, model=dict(z_channels=3)), tmp_path/'b')
    a.checkpoint.write_bytes(b.checkpoint.read_bytes())
    with pytest.raises(BadInput, match='z_channels was 3 and is now 2'): train(config(epochs=2), tmp_path/'a')


EVERY_TWO_STEPS = dict(epochs=dict(checkpoint_every=.4), images=dict(checkpoint_every=100, checkpoint_images=16))


@pytest.mark.parametrize('by', EVERY_TWO_STEPS)
def test_the_last_two_and_the_best_are_kept(tmp_path, by):
    "A checkpoint every two steps, by epochs or by images; the best is the one with the lowest held-out loss"
    run = trained(config(eval_every=.2, lr=.1, **EVERY_TWO_STEPS[by]), tmp_path)
    tests = [r for r in read_metrics(run.metrics) if r['kind'] == 'test']
    best = min(tests, key=lambda r: r['nelbo'])
    assert kept_step(run.checkpoint) == 10
    assert kept_step(previous(run.checkpoint)) == 8
    assert kept_step(run.best) == best['step']
    assert read_checkpoint(run.best)['facts']['held_out_nelbo'] == best['nelbo']


def test_what_the_tracker_gets(tmp_path):
    "TensorBoard by default: every number, per group too, and pictures; a run that goes on is one curve"
    for epochs in (1, 2):
        run = trained(config(epochs=epochs, tracker='tensorboard', preview_every=1, model=dict(n_groups=2)), tmp_path)
    found = [EventAccumulator(str(file)).Reload() for file in sorted(run.path.glob('events*'))]
    groups = [f'{k}_group_{g:02}' for k in ('train/kl', 'test/kl', 'test/active_units') for g in range(3)]
    names = ('loss', 'recon', 'kl', 'beta', 'lr', 'grad_norm', 'spectral', 'bn', 'images_per_second')
    numbers = [f'train/{name}' for name in names]
    assert {*groups, *numbers, 'test/nelbo', 'test/value'} <= {tag for f in found for tag in f.Tags()['scalars']}
    assert {tag for f in found for tag in f.Tags()['images']} == {'samples', 'reconstructions'}
    assert [e.step for f in found for e in f.Scalars('train/loss')] == list(range(1, 11))


def test_an_unknown_tracker_is_refused(tmp_path):
    with pytest.raises(BadInput, match='tensorbord.*did you mean .tensorboard'):
        train(config(tracker='tensorbord'), tmp_path)


def test_a_full_disk(tmp_path):
    "The run stops with the last checkpoint whole; as a limit on the size of files, which writes meet like a full disk"
    cfg = config(checkpoint_every=.2)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    def watch(status, records, last=False):
        watch.n += 1
        if watch.n == 3:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limit[1]))
    watch.n = 0
    try:
        with pytest.raises(TrainingFailed, match="can't be written .*the last checkpoint is whole"):
            train(cfg, tmp_path, watch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    run = RunDir(tmp_path/'small')
    assert kept_step(run.checkpoint) >= 2
    assert not list(run.path.glob('.*.tmp'))
    train(cfg, tmp_path)
    assert kept_step(run.checkpoint) == 10


READ_ONLY = """
import os, sys
from pathlib import Path
from training import config, train
from nvae.training.fit import TrainingFailed

folder, cfg = Path(sys.argv[1]), config(checkpoint_every=.2)
train(cfg, folder/'warm')
if os.getuid() == 0:  # become somebody whom permissions bind
    os.chown(folder, 65534, 65534)
    os.setgid(65534)
    os.setuid(65534)
def watch(status, records, last=False):
    watch.n += 1
    if watch.n == 3: os.chmod(folder/'small', 0o500)
watch.n = 0
try:
    train(cfg, folder, watch)
except TrainingFailed as e:
    print(e)
"""


def test_a_folder_made_read_only():
    "The run stops with the last checkpoint whole; in a folder that whoever runs it can reach"
    env = {**os.environ, 'PYTHONPATH': os.path.dirname(__file__), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, '-c', READ_ONLY]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        done = subprocess.run([*command, folder], capture_output=True, text=True, env=env)
        assert "can't be written" in done.stdout, done.stderr
        assert 'the last checkpoint is whole' in done.stdout, done.stderr
        run = RunDir(f'{folder}/small')
        os.chmod(run.path, 0o700)
        assert kept_step(run.checkpoint) >= 2


def test_a_second_process_is_refused(tmp_path):
    "While a run is trained, with the name of who trains it"
    cfg, refused = config(epochs=1), []
    def watch(status, records, last=False):
        try:
            fit(cfg, RunDir(tmp_path/'small'), loaders(cfg))
        except BadInput as e:
            refused.append(str(e))
    train(cfg, tmp_path, watch)
    assert f'process {os.getpid()} ' in refused[0]


def test_the_command_is_refused_beside_a_training(tmp_path):
    "Exit code 2 and one line that names who is at it"
    cfg = config()
    (tmp_path/'small.yaml').write_text(cfg.to_yaml())
    nvae_command = [sys.executable, '-c', 'import sys; from nvae.cli.main import main; sys.exit(main())']
    command = [*nvae_command, 'train', tmp_path/'small.yaml', '--runs', tmp_path]
    with run_lock(open_run(cfg, tmp_path)): done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert f'process {os.getpid()} ' in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_data_folder_that_vanished(tmp_path):
    "It is named, the checkpoint stays, and when the images are back the run goes on"
    folder = tmp_path/'images'
    folder.mkdir()
    for i, x in enumerate(images(48, 0)): to_pil(x).save(folder/f'{i}.png')
    data = dict(dataset='folder', root=str(folder), test_fraction=.17)
    cfg, again = (config(epochs=epochs, data=data) for epochs in (1, 2))
    run = open_run(cfg, tmp_path)
    fit(cfg, run)
    before = run.checkpoint.read_bytes()
    folder.rename(tmp_path/'elsewhere')
    with pytest.raises(BadInput, match='there is no folder .*images'): fit(again, open_run(again, tmp_path))
    assert run.checkpoint.read_bytes() == before
    assert read_status(run)['state'] == 'failed'
    (tmp_path/'elsewhere').rename(folder)
    fit(again, open_run(again, tmp_path))
    assert kept_step(run.checkpoint) == 10
    assert not any('not the same' in event for event in events(run))

"Faults of training that were mended: each of these tests failed before"
import math
import signal

import pytest
import torch
from accelerate import Accelerator
from training import config, loaders, train

import nvae.training.fit
from nvae.machine import stop_requests
from nvae.noise import own_generators
from nvae.runs.folder import RunDir, open_run, read_status
from nvae.sampling.encode import active_units
from nvae.training.fit import TrainingFailed, after_step, forward_backward, train_step
from nvae.training.state import new_state


def new(cfg, folder):
    with own_generators():
        return new_state(cfg, open_run(cfg, folder), loaders(cfg))


def test_checkpoint_images_counts_the_images_of_all_processes(tmp_path, monkeypatch):
    "Four processes take 8 images each: 64 images are two steps"
    state = new(config(checkpoint_every=100, checkpoint_images=64, eval_every=100), tmp_path)
    state.progress.held_out = 1.
    monkeypatch.setattr(Accelerator, 'num_processes', property(lambda self: 4))
    kept = []
    monkeypatch.setattr(nvae.training.fit, 'checkpoint', lambda state: kept.append(state.position))
    for step in range(1, 5):
        state.progress.batch = step
        after_step(state, [], None)
    assert kept == [2, 4]


def test_a_lost_connection_is_not_called_a_full_disk(tmp_path, monkeypatch):
    "A tracker that can't be reached: the run ends with that error's own name and words"
    def unreachable(*args, **kwargs): raise ConnectionResetError(104, 'Connection reset by peer')
    monkeypatch.setattr(Accelerator, 'log', unreachable)
    with pytest.raises(ConnectionResetError):
        train(config(epochs=1), tmp_path)
    status = read_status(RunDir(tmp_path/'small'))
    assert (status['state'], status['error']) == ('failed', 'ConnectionResetError')
    assert 'Connection reset by peer' in status['message'] and 'space' not in status['message']


@pytest.mark.parametrize('clip, advice', [(None, 'or a train.grad_clip$'), (5., 'or a train.grad_clip below 5$')])
def test_the_advice_after_repeated_trouble(tmp_path, clip, advice):
    "A gradient that is too large is shortened by a smaller bound, never by a larger one"
    cfg = config(lr=100., lr_warmup=0, lr_min=100., epochs=30, checkpoint_every=100, eval_every=100, grad_clip=clip)
    def spoil(status, records, last=False): states[-1].model.stem.weight.data.fill_(math.nan)
    states, original = [], nvae.training.fit.start_or_resume
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(nvae.training.fit, 'start_or_resume', lambda *args: states.append(original(*args)) or states[-1])
        with pytest.raises(TrainingFailed, match=advice):
            train(cfg, tmp_path, spoil)


def test_clipping_leaves_the_trace_of_trouble(tmp_path):
    "A NaN in one gradient is found there, and isn't spread over all the others by the clipping"
    state = new(config(grad_clip=1., lr_warmup=0), tmp_path)
    state.model.stem.weight.register_hook(lambda g: g*math.nan)
    said = train_step(state, [next(state.loaders.train.batches(0))])
    assert 'first in the gradient of stem.weight' in said


def test_clipping_of_a_norm_that_overflows(tmp_path):
    state = new(config(grad_clip=1.), tmp_path)
    state.model.stem.weight.register_hook(lambda g: g + 1e30)
    norm = forward_backward(state, [next(state.loaders.train.batches(0))])[5]
    assert norm.isinf() and state.model.stem.weight.grad.abs().max() >= 1e30


def test_a_collapsed_group_is_not_active(tmp_path):
    "The latents of a group that is tied to its prior vary with those of the groups above; they are of no use nevertheless"
    model = new(config(), tmp_path).model.eval()
    x = next(loaders(model.config).test.batches())
    with torch.no_grad():
        for group in model.groups: group.posterior_head.log_weight_norm += 4.
        model.groups[1].prior_head[-1].log_weight_norm += 6.
        model.groups[1].posterior_head.weight.zero_()
        model.groups[1].posterior_head.bias.zero_()
    means = model.encode(x, [torch.zeros(len(x), *shape) for shape in model.cfg.latent_shapes])
    assert (means[1].var(0) > .01).any()
    first, second = active_units(model, x)
    assert first > 0 and second == 0


def test_signals_are_collected_and_handlers_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests(impatient=False) as received:
        for _ in range(2): signal.raise_signal(signal.SIGTERM)
    assert received == [signal.SIGTERM]*2
    with pytest.raises(KeyboardInterrupt), stop_requests():
        for _ in range(2): signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before

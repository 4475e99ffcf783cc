"An interrupted run ends like one that wasn't: to the bit, however often and however rudely it was interrupted"
import multiprocessing
import os
import random
import signal
import time

import pytest
from training import assert_same_run, config, differences, train

import nvae.training.fit
from nvae.errors import BadInput
from nvae.runs.checkpoint import previous, read_checkpoint
from nvae.runs.folder import RunDir, open_run, read_status
from nvae.training.fit import Interrupted

VARIANTS = dict(accumulated=dict(accumulate=2), recomputed=dict(gradient_checkpointing=True, grad_clip=5., checkpoint_images=24, bn_lambda=.05, ema_decay=0.))


def stop_at(step, signum=signal.SIGTERM):
    "A watcher that sends this process a signal after a step"
    def watch(status, records, last=False):
        watch.steps += 1
        if watch.steps == step: os.kill(os.getpid(), signum)
    watch.steps = 0
    return watch


@pytest.mark.parametrize('variant', VARIANTS)
def test_stopped_by_signals(tmp_path, variant):
    "Stopped twice, once in the middle of an epoch"
    cfg = config(**VARIANTS[variant])
    train(cfg, tmp_path/'whole')
    for step, signum in ((2, signal.SIGTERM), (1, signal.SIGINT)):
        with pytest.raises(Interrupted) as stopped: train(cfg, tmp_path/'parts', watch=stop_at(step, signum))
        assert stopped.value.signum == signum
        assert read_status(RunDir(tmp_path/'parts'/'small'))['state'] == 'interrupted'
    train(cfg, tmp_path/'parts')
    assert_same_run(RunDir(tmp_path/'whole'/'small'), RunDir(tmp_path/'parts'/'small'))


def test_stopped_before_the_first_step(tmp_path, monkeypatch):
    "What is measured before it isn't measured again"
    cfg = config(epochs=1)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(nvae.training.fit, 'train_pass', lambda *args: signal.raise_signal(signal.SIGINT) or signal.raise_signal(signal.SIGINT))
        train(cfg, tmp_path/'parts')
    for part in ('whole', 'parts'): train(cfg, tmp_path/part)
    assert_same_run(RunDir(tmp_path/'whole'/'small'), RunDir(tmp_path/'parts'/'small'))


def killed_after(seconds, *args):
    "Train in a process that is killed by SIGKILL; True when it had finished by then"
    context = multiprocessing.get_context('forkserver'); context.set_forkserver_preload(['training'])
    process = context.Process(target=train, args=args)
    process.start(); process.join(seconds)
    finished = process.exitcode is not None
    process.kill(); process.join()
    assert not finished or process.exitcode == 0
    return finished


def test_killed_at_random_moments(tmp_path):
    "SIGKILL, again and again, wherever it happens to hit"
    cfg, rng, kills = config(checkpoint_every=.2, eval_every=.5), random.Random(os.getpid()), 0
    start = time.monotonic(); train(cfg, tmp_path/'whole'); whole = time.monotonic() - start
    killed_after(30, cfg, tmp_path/'first')  # the server that the others are forked from starts here
    while not killed_after(rng.uniform(.2, .8)*whole if kills < 4 else 60, cfg, tmp_path/'parts'): kills += 1; assert kills < 6
    assert kills >= 2
    assert_same_run(RunDir(tmp_path/'whole'/'small'), RunDir(tmp_path/'parts'/'small'))


def test_another_seed_is_another_run(tmp_path):
    "The comparison above can fail"
    runs = [train(config(seed=seed), tmp_path/str(seed)) and RunDir(tmp_path/str(seed)/'small') for seed in (0, 1)]
    a, b = (read_checkpoint(r.checkpoint) for r in runs)
    assert len(differences(a['model'], b['model'])) > 50


def test_training_settings_are_read_again(tmp_path):
    "More epochs and another batch size continue a run; its position in the data is kept"
    train(config(epochs=1), tmp_path)
    train(config(epochs=2, batch_size=4, weight_decay=0., ema_decay=0.), tmp_path)
    c = read_checkpoint(RunDir(tmp_path/'small').checkpoint)
    assert c['progress']['step'] == 5 + 10
    assert c['optimizer']['param_groups'][0]['weight_decay'] == 0 and c['ema'] is None


def test_a_batch_size_changed_in_mid_epoch(tmp_path):
    with pytest.raises(Interrupted): train(config(), tmp_path, watch=stop_at(2))
    train(config(batch_size=4), tmp_path)
    assert read_checkpoint(RunDir(tmp_path/'small').checkpoint)['progress']['step'] == 2 + (20 - 4)


def test_a_checkpoint_that_was_cut_short(tmp_path, capsys):
    "The one before is taken, which is said; when that is damaged too, the run is refused and nothing is overwritten"
    cfg, run = config(checkpoint_every=.2), RunDir(tmp_path/'small')
    train(cfg, tmp_path/'whole')
    with pytest.raises(Interrupted): train(cfg, tmp_path, watch=stop_at(4))
    whole = run.checkpoint.read_bytes()
    run.checkpoint.write_bytes(whole[:len(whole)//2])
    train(cfg, tmp_path)
    assert 'small.checkpoint is truncated or damaged' in (said := capsys.readouterr().out) and 'trying the one before' in said
    assert_same_run(RunDir(tmp_path/'whole'/'small'), run)
    for p in (run.checkpoint, previous(run.checkpoint)): p.write_bytes(p.read_bytes()[:1000])
    with pytest.raises(BadInput, match='truncated or damaged'): train(config(epochs=3), tmp_path)
    assert len(run.checkpoint.read_bytes()) == 1000


def test_fresh_keeps_the_old_run(tmp_path):
    cfg = config(epochs=1)
    train(cfg, tmp_path)
    before = RunDir(tmp_path/'small').checkpoint.read_bytes()
    run = open_run(cfg, tmp_path, fresh=True)
    assert not run.checkpoint.exists()
    assert RunDir(tmp_path/'small.1').checkpoint.read_bytes() == before

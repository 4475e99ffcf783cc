"""Training as one CUDA graph per step: for networks whose step is thousands of small kernels.

A `Trainer` holds a run of the kit (`new_state`) and does what `train_step` does: the kit's own network, losses and
penalties, clipping, Adamax and the moving average; but all of it is captured once and replayed. Noise, images and the
step's numbers are put into fixed places before. The learning rate and β follow the share of the time (or of the
steps) that has passed. Numbers that aren't finite are seen every so many steps: back to the last good weights, with
half the rate. At the end the run is one of the kit's: its checkpoint can be gone on with by `nvae train`."""
import math
import time
from copy import deepcopy

import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

import nvae.training.state as kit_state
from nvae.config import Config
from nvae.data.batches import binarise
from nvae.data.images import to_unit
from nvae.network.elbo import posterior_kls, reconstruction
from nvae.noise import seed_from
from nvae.runs.checkpoint import save_checkpoint, save_model
from nvae.training.losses import balancing_alpha, penalty_weights
from nvae.training.monitor import assess, event, record_training
from nvae.training.objective import NAMES
from nvae.training.spectral import bn_penalty
from nvae.training.state import contents, facts, model_for_use, new_state

LOOK = 20        # steps between two looks at the clock and the numbers
SNAPSHOT = 25    # such looks between two snapshots of the weights
KL, LR, DECAY = range(3)
BN_IMAGES = 8192


def with_train(cfg, **changes):
    return Config.from_dict({**cfg.to_dict(), 'train': {**cfg.train.model_dump(mode='json'), **changes}})


class Trainer:
    def __init__(self, cfg, run, loaders, graph=True):
        self.state = new_state(cfg, run, loaders)
        self.cfg, self.device = cfg, self.state.device
        self.graph = graph and self.device.type == 'cuda'
        self.stream = torch.cuda.Stream() if self.graph else None
        s, t, m = self.state, cfg.train, cfg.model
        self.images = loaders.train.pixels.images.to(self.device)
        self.order, self.place, self.epoch = None, 0, -1
        self.x = torch.zeros(t.batch_size, m.image_channels, *m.size, device=self.device)
        if t.channels_last: self.x = self.x.contiguous(memory_format=torch.channels_last)
        sizes = [z * h * w for z, h, w in m.latent_shapes]
        self.flat = torch.zeros(t.batch_size * sum(sizes), device=self.device)
        parts = self.flat.split([t.batch_size * n for n in sizes])
        self.noise = [p.view(t.batch_size, *shape) for p, shape in zip(parts, m.latent_shapes)]
        self.numbers = torch.tensor([t.kl_min, 0., 0.], device=self.device)
        self.alpha = torch.tensor(balancing_alpha(m), device=self.device)
        self.b1_power = torch.ones((), device=self.device)
        self.spectral_weight, self.bn_weight = penalty_weights(1., t)
        self.params = list(s.model.parameters())
        self.sums = torch.zeros(len(NAMES) + m.total_groups, device=self.device)
        self.steps, self.counted, self.factor, self.looks = 0, 0, 1., 0
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=s.precision == 'bfloat16')

    # -------------------------------------------------------------------------------------------------- one step

    def terms(self):
        model, t = self.state.model, self.cfg.train
        beta = self.numbers[KL]
        with self.autocast:
            out = model(self.x, self.noise)
            recon, kls = reconstruction(out, self.x), posterior_kls(out)
        weighted = kls
        if t.kl_balancing:
            size = kls.detach().abs().mean(1) + 0.01
            gamma = size / self.alpha
            gamma = torch.where(beta >= 1, torch.ones_like(gamma), gamma / gamma.mean())
            weighted = gamma[:, None] * kls
        total = (recon + t.kl_weight * beta * weighted.sum(0)).mean()
        spectral = self.state.objective.spectral() if self.spectral_weight else total.new_zeros(())
        bn = bn_penalty(model)
        total = total + self.spectral_weight * spectral + self.bn_weight * bn
        return total, recon.mean(), kls.sum(0).mean(), spectral, bn, kls.mean(1)

    def one(self):
        "What is captured"
        for p in self.params: p.grad = None
        total, *parts, kls = self.terms()
        total.backward()
        with torch.no_grad():
            norm = get_total_norm([p.grad for p in self.params if p.grad is not None])
            if self.cfg.train.grad_clip is not None:
                clip_grads_with_norm_([p for p in self.params if p.grad is not None], self.cfg.train.grad_clip, norm)
            self.update()
            self.sums.add_(torch.cat([torch.stack([total.detach(), *(p.detach() for p in parts), norm]), kls.detach()]))

    def update(self):
        "Adamax and the moving average"
        t = self.cfg.train
        if not hasattr(self, 'm'):
            self.used = [p for p in self.params if p.grad is not None]
            self.m, self.u = ([torch.zeros_like(p) for p in self.used] for _ in range(2))
            self.ema = []
            if self.state.ema is not None: self.ema = list(self.state.ema.module.parameters())
        b1, b2 = t.betas
        g = torch._foreach_add([p.grad for p in self.used], self.used, alpha=t.weight_decay)
        torch._foreach_lerp_(self.m, g, 1 - b1)
        torch._foreach_mul_(self.u, b2)
        size = torch._foreach_abs(g)
        torch._foreach_add_(size, t.adamax_eps)
        torch._foreach_maximum_(self.u, size)
        self.b1_power.mul_(b1)
        move = torch._foreach_div(self.m, self.u)
        torch._foreach_mul_(move, self.numbers[LR] / (1 - self.b1_power))
        torch._foreach_sub_(self.used, move)
        if self.ema:
            apart = torch._foreach_sub(self.params, self.ema)
            torch._foreach_mul_(apart, 1 - self.numbers[DECAY])
            torch._foreach_add_(self.ema, apart)

    def capture(self):
        "Warm up, and capture the step; the rate is 0 meanwhile"
        self.state.model.train()
        self.next_batch()
        if not self.graph:
            return
        torch.cuda.synchronize()
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            for _ in range(3): self.one()
        torch.cuda.synchronize()
        self.whole = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.whole, stream=self.stream):
            self.one()
        torch.cuda.synchronize()
        self.sums.zero_()
        self.snapshot()

    def next_batch(self):
        "The next images and noise, in their places"
        b = self.cfg.train.batch_size
        if self.order is None or self.place + b > len(self.images):
            self.epoch, self.place = self.epoch + 1, 0
            self.order = self.state.loaders.train._order(self.epoch).to(self.device)
        v = self.images[self.order[self.place:self.place + b]]
        self.place += b
        if self.state.loaders.train.binary:
            v = binarise(v, torch.rand(v.shape, device=self.device))
        self.x.copy_(to_unit(v, self.cfg.model))
        self.flat.normal_()

    def step(self):
        if self.graph:
            with torch.cuda.stream(self.stream):
                self.next_batch()
                self.whole.replay()
        else:
            self.next_batch()
            self.one()
        self.steps += 1
        self.counted += 1

    # -------------------------------------------------------------------------------------------------- schedule

    def set_schedule(self, done):
        "By the share of the run that is done"
        t = self.cfg.train
        warm, kl = t.lr_warmup / t.epochs, t.kl_warmup / t.epochs
        self.done = done
        if done < warm: rate = t.lr * done / warm
        else: rate = t.lr_min + (t.lr - t.lr_min) * (1 + math.cos(math.pi * min(1, (done - warm) / (1 - warm)))) / 2
        beta = 1. if not kl else max(t.kl_min, min(1., done / kl))
        decay = min(t.ema_decay, (1 + self.steps) / (10 + self.steps))
        self.rate, self.beta = rate * self.factor, beta
        self.numbers.copy_(torch.tensor([beta, self.rate, decay]))

    def wait(self):
        if self.stream is not None: self.stream.synchronize()

    def look(self, done):
        "Every LOOK steps: numbers, snapshots, the schedule"
        self.wait()
        with torch.cuda.stream(self.stream) if self.stream else torch.no_grad():
            self.looks += 1
            if self.looks % SNAPSHOT == 0:
                sums = self.sums.tolist()
                if all(map(math.isfinite, sums)):
                    self.written(sums)
                    self.snapshot()
                else:
                    self.put_back()
            self.set_schedule(done)
        self.wait()

    def live(self):
        return [*self.params, *self.state.objective.buffers(), *self.m, *self.u, *self.ema, self.b1_power]

    def snapshot(self):
        if not hasattr(self, 'm'): return
        if not hasattr(self, 'kept'): self.kept = [torch.empty_like(v) for v in self.live()]
        with torch.no_grad():
            for kept, v in zip(self.kept, self.live()): kept.copy_(v)

    def put_back(self):
        with torch.no_grad():
            for kept, v in zip(self.kept, self.live()): v.copy_(kept)
        self.factor /= 2
        self.sums.zero_()
        self.counted = 0
        self.where()
        event(self.state, f'step {self.steps}: not finite; back to the last snapshot with half the learning rate')

    def written(self, sums):
        "A record of training"
        p = self.state.progress
        if self.counted:
            p.sums, p.count = sums, self.counted
            self.where()
            record_training(self.state)
        self.sums.zero_()
        self.counted = 0

    # ----------------------------------------------------------------------------------------------------- results

    def where(self):
        "Tell the kit's state where the run is"
        s, b, t = self.state, self.cfg.train.batch_size, self.cfg.train
        per_epoch = max(1, len(self.images) // b)
        p = s.progress
        p.step, p.epoch, p.batch = self.steps, self.steps // per_epoch, self.steps % per_epoch
        p.seconds = time.monotonic() - self.began
        done = max(getattr(self, 'done', 0.), 1e-3)
        epochs = max(1e-3, self.steps / per_epoch / min(1, done))
        share = {k: getattr(t, k) / t.epochs * epochs for k in ('lr_warmup', 'kl_warmup', 'kl_delay')}
        # for whoever goes on: intervals of a checkpoint at hand
        s.cfg = with_train(self.cfg, epochs=epochs, **share)

    def results(self):
        "Held-out likelihood, model and checkpoint in the run's folder; the network for use"
        s = self.state
        self.wait()
        torch.cuda.synchronize() if self.graph else None
        self.where()
        optimizer = getattr(s.optimizer, 'optimizer', s.optimizer)
        for p, m, u in zip(self.used, self.m, self.u):
            optimizer.state[p] = dict(step=torch.tensor(float(max(1, self.steps))), exp_avg=m, exp_inf=u)
        optimizer.param_groups[0]['lr'] = float(self.rate)
        kit_state.BN_IMAGES = BN_IMAGES
        model = model_for_use(s)
        assess(s, model)
        model.train(model is s.model)
        if s.progress.held_out is not None:
            model.facts = facts(s)
            save_model(model.eval(), s.run.model, **model.facts)
            model.train(model is s.model)
        save_checkpoint(contents(s), s.run.checkpoint, keep=False)
        seed_from(self.cfg.train.seed, 5, self.steps)
        return model

    def train(self, share, at=(), then=None):
        "Until share() ≥ 1; at these shares `then(self)` is called"
        self.began, marks = time.monotonic(), list(at)
        self.set_schedule(0.)
        while (done := share()) < 1:
            self.look(done)
            for _ in range(LOOK): self.step()
            if marks and done >= marks[0]:
                marks = [m for m in marks if m > done]
                self.wait()
                if then: then(self)
        self.done = 1.
        return self.results()


def pace(trainer, n=20):
    "Seconds of a step"
    for _ in range(5): trainer.step()
    trainer.wait()
    begun = time.monotonic()
    for _ in range(n): trainer.step()
    trainer.wait()
    trainer.steps = trainer.counted = 0
    trainer.sums.zero_()
    return (time.monotonic() - begun) / n


def copy_of(model):
    return deepcopy(model).eval()

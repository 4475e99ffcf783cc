"CUDA without a card: fake tensors carry a device, so what mixes devices raises, and copies between them are seen"
import traceback
import warnings
from contextlib import contextmanager

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nvae.config import load_config
from nvae.network.fast import use_fast
from nvae.network.model import NVAE
from nvae.training.objective import Objective

NAMES = 'quickstart', 'mnist_1gpu', 'big_logistic_mixture20latentnoflows'


class Crossings(TorchDispatchMode):
    "Collects the lines of the kit that copy from one device to another"
    def __init__(self):
        super().__init__()
        self.lines = set()

    def __torch_dispatch__(self, f, types, args=(), kwargs=None):
        out = f(*args, **(kwargs or {}))
        devices = {t.device.type for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)}
        if 'copy' in str(f) and len(devices) > 1:
            self.lines.add(next(s.line for s in reversed(traceback.extract_stack()) if '/nvae/' in s.filename))
        return out


@contextmanager
def on_cuda(name):
    "(network, images) on a card that isn't there"
    cfg = load_config(name)
    with FakeTensorMode(allow_non_fake_inputs=True), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with torch.device('cuda'):
            model = use_fast(NVAE(cfg))
        yield model, torch.rand(4, cfg.model.image_channels, *cfg.model.size, device='cuda')


@pytest.mark.parametrize('name', NAMES)
def test_the_loss_stays_on_the_device(name):
    "Nothing mixes devices; what is copied there at each step is known (each such copy makes the host wait)"
    with on_cuda(name) as (model, x):
        loss = Objective(model)
        loss.spectral.to('cuda')
        with Crossings() as found:
            terms = loss(x, model.config.train, beta=0.5, spectral_weight=0.01, bn_weight=0.01)
        assert {t.device.type for t in terms} == {'cuda'}
        assert all('PHASES' in line or 'balancing_alpha' in line for line in found.lines), found.lines


@pytest.mark.parametrize('name', NAMES)
def test_sampling_never_leaves_the_device(name):
    "As a CUDA graph needs it: given noise on the device, nothing is copied to it"
    with on_cuda(name) as (model, x):
        noise = [torch.randn(4, *s, device='cuda') for s in model.cfg.latent_shapes]
        with Crossings() as found:
            px = model.eval().generate(temperature=0.7, noise=noise).px
            assert px.mean.device.type == px.sample().device.type == 'cuda'
        assert not found.lines

"What the tests of training share: a run of seconds, and a comparison of two runs"
import torch

from nvae.config import Config
from nvae.data.batches import loaders_from
from nvae.runs.checkpoint import read_checkpoint
from nvae.runs.folder import RunDir, open_run, read_metrics
from nvae.training.fit import fit

torch.set_num_threads(1)
MODEL = dict(image_size=16, channels=8, n_scales=2, n_groups=1, z_channels=2, n_mix=2,
             n_pre_cells=1, n_post_cells=1, enc_cells=1, dec_cells=1)
TRAIN = dict(epochs=2, batch_size=8, lr_warmup=0.2, kl_warmup=1, spectral_lambda_start=0.1, tracker='none',
             preview_every=100, ema_decay=0.9)


def config(name="small", model=(), data=(), **train):
    "The configuration of a run of ten steps, with some settings changed"
    model = {**MODEL, **dict(model)}
    return Config.from_dict(dict(name=name, model=model, data=dict(data), train={**TRAIN, **train}))


def images(n, seed, channels=3):
    "Blobs: smooth random images (n, channels, 16, 16) in [0, 1]"
    coarse = torch.rand(n, channels, 3, 3, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(16, 16), mode='bilinear')


def loaders(cfg, n=40):
    channels = cfg.model.image_channels
    return loaders_from(cfg, images(n, 0, channels), images(8, 1, channels))


def train(cfg, folder, watch=None, **kw):
    return fit(cfg, open_run(cfg, folder), loaders(cfg, **kw), watch=watch)


def trained(cfg, folder):
    "The run of a training that went to its end"
    train(cfg, folder)
    return RunDir(folder/cfg.name)


def measured(run):
    "The records of a run, without what depends on the clock and what befell it"
    by_clock = ('seconds', 'images_per_second')
    records = [r for r in read_metrics(run.metrics) if r['kind'] != 'event']
    return [{k: v for k, v in r.items() if k not in by_clock} for r in records]


def differences(a, b, path=''):
    "Where two checkpoints differ, to the bit"
    if isinstance(a, dict):
        found = []
        for k in {**a, **b}:
            in_both = k in a and k in b
            found += differences(a[k], b[k], f'{path}.{k}') if in_both else [f'{path}.{k}']
        return found
    if isinstance(a, torch.Tensor):
        return [] if a.dtype == b.dtype and torch.equal(a, b) else [path]
    if isinstance(a, (list, tuple)) and len(a) == len(b):
        found = []
        for i, (u, v) in enumerate(zip(a, b)): found += differences(u, v, f'{path}[{i}]')
        return found
    return [] if a == b else [path]


def assert_same_run(a, b):
    "Weights, average, optimiser, schedules, position and measurements of two finished runs are identical"
    x, y = read_checkpoint(a.checkpoint), read_checkpoint(b.checkpoint)
    for content in (x, y):
        content['progress'].pop('seconds')
        content['config'].pop('name')
    assert differences(x, y) == []
    assert measured(a) == measured(b)

"""Measures what the page on restoring images quotes: PSNR and SSIM of held-out images, by this and by simpler means.

python docs/restoration.py [faces|photographs|settings]    writes nbs/4_using/restoration.jsonl, of faces, or
restoration_photographs.jsonl: circumstances, then a line per task and method; or restoration_settings.jsonl: rounds and
weights on the 64 faces after these. The model of photographs is that of docs/results.py 'CIFAR-10 JPEG, seed 0', below
runs/ where this is typed, and the images are in dataset/cifar10_jpeg"""
import json
import sys
import time
from functools import partial
from pathlib import Path

import torch
from matplotlib import tri
from results import SAMPLED, hardware
from torch.nn import functional as F
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from torchvision.transforms.functional import gaussian_blur

from nvae.evaluation.likelihood import images_of
from nvae.noise import seeded
from nvae.runs.checkpoint import load_model
from nvae.sampling import restore as method_of_page
from nvae.sampling.encode import embed, unembed
from nvae.sampling.restore import TRUST, Masked, Noisy, Shrunk, restore

PAGES = Path(__file__).resolve().parents[1] / 'nbs/4_using'
PHOTOGRAPHS = SAMPLED['Fréchet distances of CIFAR-10 JPEG, seed 0']
FILES = dict(faces=('demo32', 'restoration.jsonl'), photographs=(PHOTOGRAPHS, 'restoration_photographs.jsonl'),
             settings=('demo32', 'restoration_settings.jsonl'))
IMAGES = 64 # the settings were chosen on faces after these
ROUNDS, WEIGHTS = (1, 2, 3, 4, 6, 8), (0., .01, .02, .05, .1, .3, 1.) # that are compared on other faces
BLURS = {.1: .6, .25: 1.2} # by the noise, the widths of a Gaussian that were best on the faces after these


def masks():
    "Name → what is known of 32×32 pixels"
    row = torch.arange(32)
    everywhere = torch.ones(1, 1, 32, 32, dtype=torch.bool)
    middle = (row >= 10) & (row < 22)
    return {'right half': everywhere & (row < 16), 'box of 12×12': everywhere & ~(middle & middle[:, None]),
            'three of four pixels': torch.rand(1, 1, 32, 32, generator=seeded(5)) < .25}


def tasks(x):
    "Name → what is measured, the data, and which pixels are unknown"
    everywhere = torch.ones(1, 1, 32, 32, dtype=torch.bool)
    found = {name: (Masked(known), x * known, ~known) for name, known in masks().items()}
    for factor in 2, 4, 8:
        found[f'×{factor}'] = Shrunk(factor), F.avg_pool2d(x, factor), everywhere
    for sigma in BLURS:
        noise = torch.randn(x.shape, generator=seeded(6))
        found[f'noise of {sigma:g}'] = Noisy(sigma), x + sigma * noise, everywhere
    return found


def pasted(model, measured, y):
    "Mean fill (bicubic, the noise itself), reconstruct, put the data back"
    begin = measured.begin(y)
    if isinstance(measured, Masked):
        mean = (y * measured.known).sum((2, 3), keepdim=True) / measured.known.sum()
        begin = torch.where(measured.known, y, mean)
    return measured.agree(unembed(model, embed(model, begin)), y)


def nearest(values, known): # (N, 32, 32), bool (32, 32)
    "Each unknown pixel like the nearest known one"
    places = torch.ones_like(known).nonzero().float()
    closest = torch.cdist(places, known.nonzero().float()).argmin(1)
    return values[:, known][:, closest].view_as(values)


def cubic(values, known):
    "Cubic interpolation between known pixels (matplotlib's, on their Delaunay triangles); nearest outside of these"
    y, x = known.nonzero().T.numpy()
    triangles = tri.Triangulation(x, y)
    at_y, at_x = torch.ones_like(known).nonzero().T.numpy()
    found = []
    for image, fallback in zip(values, nearest(values, known)):
        inside = tri.CubicTriInterpolator(triangles, image[known].numpy(), kind='geom')(at_x, at_y)
        v = torch.from_numpy(inside.filled(float('nan'))).view(32, 32).float()
        found.append(torch.where(v.isnan(), fallback, v))
    return torch.stack(found)


def interpolated(measured, y, method):
    "'nearest' or 'bicubic' interpolation of what is known, made to agree with it"
    if isinstance(measured, Shrunk):
        found = F.interpolate(y, scale_factor=measured.factor, mode=method)
    else:
        interpolate = nearest if method == 'nearest' else cubic
        found = interpolate(y.flatten(0, 1), measured.known[0, 0]).view_as(y)
    return measured.agree(found.clamp(0, 1), y)


def methods(model, measured, y):
    "Name → function () → restored images"
    found = {'restored': partial(restore, model, y, measured),
             'one round': partial(restore, model, y, measured, rounds=1),
             'fill, reconstruct, paste': partial(pasted, model, measured, y)}
    if isinstance(measured, Noisy):
        found['Gaussian blur'] = lambda: gaussian_blur(y, [9, 9], [BLURS[measured.sigma]] * 2).clamp(0, 1)
        return found
    return {**found, 'nearest': partial(interpolated, measured, y, 'nearest'),
            'bicubic': partial(interpolated, measured, y, 'bicubic')}


def figures(found, x, unknown):
    "PSNR and SSIM of each image, over its unknown pixels"
    psnr, ssim = [], []
    for one, truth in zip(found.split(1), x.split(1)):
        where = unknown.expand_as(truth)
        psnr.append(peak_signal_noise_ratio(one[where], truth[where], data_range=1.).item())
        _, each = structural_similarity_index_measure(one, truth, data_range=1., return_full_image=True)
        ssim.append(each[where].mean().item())
    return dict(psnr=psnr, ssim=ssim)


def rounded(values): return [round(v, 4) for v in values]


def measure(model, x):
    "A record per task and method"
    for task, (measured, y, unknown) in tasks(x).items():
        for name, method in methods(model, measured, y).items():
            start = time.process_time()
            found = method()
            seconds = (time.process_time() - start) / len(x)
            record = {key: rounded(values) for key, values in figures(found, x, unknown).items()}
            yield dict(task=task, method=name, seconds=round(seconds, 5), **record)


def by_settings(model, x):
    "A record per task, weight and number of rounds: the mean PSNR, with the other number as the kit has it"
    for task, (measured, y, unknown) in tasks(x).items():
        usual = measured.rounds
        for weight, rounds in [(TRUST, n) for n in ROUNDS] + [(w, usual) for w in WEIGHTS if w != TRUST]:
            method_of_page.TRUST = weight
            psnr = figures(restore(model, y, measured, rounds=rounds), x, unknown)['psnr']
            yield dict(task=task, weight=weight, rounds=rounds, psnr=round(sum(psnr) / len(psnr), 3))
    method_of_page.TRUST = TRUST


def main(what='faces'): # or 'photographs', 'settings'
    torch.set_num_threads(1)
    name, out = FILES[what]
    model = load_model(name, 'cpu')
    update = dict(n_train=64, n_test=IMAGES if what != 'settings' else 2 * IMAGES)
    if what == 'photographs': update |= dict(dataset='folder', root='dataset/cifar10_jpeg')
    data = model.config.data.model_copy(update=update)
    images = images_of(model.config.model_copy(update=dict(data=data))).test
    x = torch.cat(list(images.batches()))[-IMAGES:]
    records = by_settings if what == 'settings' else measure
    about = dict(model=name, images=len(x), hardware=hardware(), torch=torch.__version__,
                 date=time.strftime('%Y-%m-%d'))
    lines = [json.dumps(record, ensure_ascii=False) for record in (about, *records(model, x))]
    (PAGES / out).write_text('\n'.join(lines) + '\n', encoding='utf-8')


if __name__ == '__main__': main(*sys.argv[1:])

"""How far the samples of a model are from held-out images, in the features of a network that is trained here.

Inception's weights come with no package. A network that has learnt to read what the images show knows what to look at
in them: the factors of drawn faces, or the class of a photograph, which its folder is called after. The distance among
images themselves (training against held-out ones) says what so many images give where nothing is amiss."""
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from nvae.data.sources import split_folder
from nvae.evaluation.fid import fid, fid_metric, frechet
from nvae.evaluation.likelihood import as_batches, images_of
from nvae.evaluation.probe import columns, score
from nvae.runs.checkpoint import load_model

SAMPLES, TEMPERATURES = 2000, (.7, 1.)
MOST, PASSES, BATCH, SIDE = 12_000, 10, 64, 32


class Reader(nn.Module):
    "Images (B, 3, H, W) in [0, 1], shrunk to 32×32 → (B, 64) features, from which `answer` tells what they show"
    num_features = 64

    def __init__(self, n_answers, name):
        super().__init__()
        self.name = name
        layers, widths = [], (3, 32, 64, 128)
        for before, after in zip(widths, widths[1:]):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        last = widths[-1] * (SIDE // 8) ** 2
        self.see = nn.Sequential(*layers, nn.Flatten(), nn.Linear(last, self.num_features), nn.ReLU())
        self.answer = nn.Linear(self.num_features, n_answers)

    def forward(self, x): return self.see(F.interpolate(x, (SIDE, SIDE), mode='area'))


class Known(NamedTuple):
    "Images, and what is known of them"
    x: torch.Tensor # (N, 3, H, W) in [0, 1]
    facts: dict     # name → (N,)

    @property
    def columns(self): return [columns(fact) for fact in self.facts.values()]


def facts_of(cfg, images):
    "(of training images, of held-out ones): a face's factors, or a photograph's folder"
    if cfg.data.dataset == 'embedded': return images.train.factors, images.test.factors
    split = split_folder(Path(cfg.data.root), cfg.data.test_fraction, cfg.data.split_seed)
    folders = [[Path(name).parent.name for name in part] for part in (split.train, split.test)]
    classes = sorted(set(folders[0]))
    return tuple({'class': torch.tensor([classes.index(name) for name in part])} for part in folders)


def known(images, facts, most):
    "The first so many images with their facts"
    n = min(most, images.n_images)
    return Known(torch.cat(list(as_batches(images, n, 1000))), {name: fact[:n] for name, fact in facts.items()})


def train_reader(train, name, seed=0):
    "A reader that has learnt the standardised facts by least squares"
    torch.manual_seed(seed)
    target = torch.cat(train.columns, 1).float()
    target = (target - target.mean(0)) / target.std(0)
    reader = Reader(target.shape[1], name)
    steps = PASSES * (len(train.x) // BATCH)
    optimiser = torch.optim.AdamW(reader.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, steps)
    for step in range(steps):
        if step % (steps // PASSES) == 0: order = torch.randperm(len(train.x))
        chosen = order[BATCH * (step % (steps // PASSES)):][:BATCH]
        loss = F.mse_loss(reader.answer(reader(train.x[chosen])), target[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return reader.eval().requires_grad_(False)


def scores(reader, train, test):
    "Fact → how much of it is read off held-out images, from 0 (guessing) to 1"
    every = torch.cat(train.columns, 1)
    answers = torch.cat([reader.answer(reader(x)) for x in test.x.split(500)]) * every.std(0) + every.mean(0)
    parts = answers.split([found.shape[1] for found in train.columns], 1)
    return {name: score(part, test.facts[name])['known'] for name, part in zip(test.facts, parts)}


class Prepared(NamedTuple):
    "A model, and what its samples are compared by"
    model: nn.Module
    reader: Reader
    train: Known
    test: Known


def prepared(file):
    "A model with a reader of its images, and these"
    model = load_model(file)
    images = images_of(model.config)
    train, test = map(known, (images.train, images.test), facts_of(model.config, images), (MOST, SAMPLES))
    what = 'the class' if 'class' in train.facts else f'{len(train.facts)} factors'
    reader = train_reader(train, f'a reader of {what} (64 features, trained on {len(train.x):,} images)')
    return Prepared(model, reader, train, test)


def distances(file):
    "Samples against held-out images at each temperature, and training images against them: plain values"
    model, reader, train, test = prepared(file)
    read = scores(reader, train, test)
    among = frechet(train.x[:SAMPLES].split(100), test.x.split(100), fid_metric(reader))
    found = [fid(model, test.x, SAMPLES, t, feature=reader) for t in TEMPERATURES]
    return dict(features=reader.name, read=read, among_images=among, distances=found)

"The seven configurations of the system re-created here: each trains, resumes and samples at its own depth"
import pytest
import torch
import yaml
from training import images

from nvae.config import Config, list_configs, load_config
from nvae.data.batches import loaders_from
from nvae.runs.checkpoint import load_model
from nvae.runs.folder import open_run, read_metrics
from nvae.sampling.sample import sample_images
from nvae.training.fit import fit

SEVEN = [
    'tiny',
    'gaussian_mixture',
    'gaussian_mixture5latent',
    'logistic_mixture10latent',
    'big_logistic_mixture20latentnoflows',
    'large_logistic_mixture20latentnoflows',
    'penguin',
]
SMALL = ['channels=4', 'n_mix=2', 'batch_size=2']
QUIET = ['tracker=none', 'lr_warmup=0', 'eval_every=100', 'preview_every=100', 'checkpoint_every=100']


def shrunk(name, epochs):
    "With only channels, components and batch smaller, and nothing measured on the way"
    return load_config(name, [*SMALL, *QUIET, f'epochs={epochs}'])


def faces64(n, seed):
    return torch.nn.functional.interpolate(images(n, seed), size=(64, 64), mode='bilinear')


@pytest.mark.parametrize('name', SEVEN)
@pytest.mark.filterwarnings('ignore:precision float16')
def test_trains_resumes_samples(name, tmp_path):
    "Ten steps, then ten more by the same call; the loss falls in both; four images"
    for epochs in (1, 2):
        cfg = shrunk(name, epochs)
        run = open_run(cfg, tmp_path)
        fit(cfg, run, loaders_from(cfg, faces64(20, 0), faces64(2, 1)))
    losses = [record['loss'] for record in read_metrics(run.metrics) if 'loss' in record]
    assert losses[-1] < losses[0]
    model = load_model(run.model)
    assert model.cfg == cfg.model
    assert len(model.groups) == sum(cfg.model.groups_per_scale)
    assert sample_images(model, 4, 0.7, iterations=1).shape == (4, 3, 64, 64)


FOREIGN = """
channel_towers: 32
number_of_scales: 3
initial_splits_per_scale: 10
exponential_scaling: 2
min_splits: 5
latent_size: 20
input_dimension: 64
num_flows: 0
fixed_flows: True
num_blocks_prepost: 1
num_cells_per_block_prepost: 2
cells_per_split_enc: 2
cells_per_input_dec: 2
channel_multiplier : 2
sampling_method: logistic_mixture
n_mix: 10
training_parameters:
  learning_rate: 0.01
  regularization_constant: 0.1
  kl_constant: 1
  warmup_epochs: 50
  batch_size: 16
  use_tensor_checkpoints: False
  half_precision: False
  write_reconstruction: True
  epochs_per_checkpoint: 1
  epochs: 100
"""


def test_a_file_of_that_system_loads_unchanged(tmp_path):
    "Written with its own keys, it is the configuration that we ship in ours"
    path = tmp_path / 'large_logistic_mixture20latentnoflows.yaml'
    path.write_text(FOREIGN)
    theirs = load_config(str(path))
    ours = load_config('large_logistic_mixture20latentnoflows')
    assert theirs.model == ours.model
    assert theirs.data == ours.data
    assert theirs.train == ours.train
    assert ours.model.groups_per_scale == [10, 5, 5]


def test_folder32_has_the_network_of_quickstart():
    assert load_config('folder32').model == load_config('quickstart').model


def test_every_shipped_file_round_trips():
    for name in list_configs():
        cfg = load_config(name)
        assert Config.from_dict(yaml.safe_load(cfg.to_yaml())) == cfg
    assert set(SEVEN) < set(list_configs())

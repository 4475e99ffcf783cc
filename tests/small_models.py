"Small untrained networks and their files, which several files of tests use"
import torch

from nvae.config import Config, DataConfig, ModelConfig
from nvae.network.model import NVAE
from nvae.runs.checkpoint import save_model

SMALL = dict(image_size=16, channels=8, z_channels=4, enc_cells=1, dec_cells=1, n_mix=2)


def small_network(name='small', data=None, **settings):
    "A network with the same random weights each time"
    torch.manual_seed(0)
    return NVAE(Config(name=name, model=ModelConfig(**{**SMALL, **settings}), data=data or DataConfig()))


def small_run(runs, name='small', data=None, **settings):
    "The file of such a network, where a training of that name would have left it"
    folder = runs / name
    folder.mkdir(parents=True, exist_ok=True)
    return save_model(small_network(name, data, **settings), folder / f'{name}.model')

"Official checkpoints: every kind of network there and back, strictly; files old and new; what is refused, and why"
import argparse

import pytest
import torch
from test_parity import FIXTURES, Official

from nvae.config import ModelConfig
from nvae.errors import BadInput
from nvae.interop import OFFICIAL_DEFAULTS, from_args, from_official, load_official, to_args, to_official
from nvae.network.fast import use_fast, use_plain
from nvae.network.model import NVAE

SMALL = dict(channels=8, z_channels=3, n_groups=2, enc_cells=1, dec_cells=1, n_pre_cells=1, n_post_cells=1, n_mix=3)
KINDS = dict(
    plain={},
    vanilla=dict(n_scales=1, n_groups=1),
    vanilla_binary=dict(n_scales=1, n_groups=1, image_channels=1, crop=2, likelihood='bernoulli'),
    one_scale=dict(n_scales=1, n_groups=4),
    normal=dict(likelihood='normal', n_mix=1),
    no_excitation=dict(squeeze_excitation=False),
    absolute=dict(residual_posterior=False),
    flows=dict(n_flows=2),
    halved=dict(n_scales=3, n_groups=4, group_divisor=2, min_groups=2),
    five_bits=dict(n_bits=5),
    wider_encoder=dict(channels=12, dec_channels=8),
    wider_decoder=dict(channels=4, dec_channels=12),
    binary=dict(image_channels=1, crop=2, likelihood='bernoulli', n_pre_blocks=2),
    large=dict(image_size=64),
    cells=dict(enc_cells=2, dec_cells=3, n_pre_cells=3, n_post_cells=2, n_pre_blocks=2),
)
ALIAS = '.weight_normalized'  # what the official code stores besides the weight that it follows from


@pytest.fixture(params=KINDS)
def network(request):
    torch.manual_seed(0)
    return NVAE(ModelConfig(**{**SMALL, **KINDS[request.param]})).eval()


def picture(cfg):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, cfg.image_channels, *cfg.size, generator=generator).round()


def official_file(path, weights, args, **how):
    "A checkpoint as the official code writes it"
    torch.save(dict(state_dict=weights, args=argparse.Namespace(**args)), path, **how)
    return path


def shapes(weights):
    return {name: tensor.shape for name, tensor in weights.items()}


def without_aliases(weights):
    return {name: tensor for name, tensor in weights.items() if not name.endswith(ALIAS)}


def test_there_and_back(network, tmp_path):
    weights, args = to_official(network)
    again = load_official(official_file(tmp_path / 'checkpoint.pt', weights, args))
    x = picture(network.cfg)
    assert again.cfg == network.cfg
    with torch.no_grad():
        assert use_plain(again)(x, seed=0).params.equal(network(x, seed=0).params)
        assert use_fast(again)(x, seed=0).params.equal(use_fast(network)(x, seed=0).params)
    weights_again, args_again = to_official(again)
    assert args_again == args
    assert shapes(weights_again) == shapes(weights)


@pytest.mark.parametrize('name', FIXTURES)
def test_the_official_keys_are_those_that_we_write(name):
    official = Official(name, dtype=torch.float32)
    theirs = {key.removeprefix('state_dict/'): official[key] for key in official.keys('state_dict/')}
    weights, _ = to_official(official.model)
    ours = without_aliases(weights)
    assert ours.keys() == theirs.keys()
    assert all(ours[key].float().equal(value) for key, value in theirs.items())


def test_aliases_may_be_there_or_not_and_the_old_zip_less_format_is_read(network, tmp_path):
    weights, args = to_official(network)
    bare = without_aliases(weights)
    assert len(bare) < len(weights)
    old = official_file(tmp_path / 'old.pt', bare, args, _use_new_zipfile_serialization=False)
    again = load_official(old).state_dict()
    assert all(value.equal(again[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize('gone', [
    ['ada_groups', 'min_groups_per_scale'],
    ['num_mixture_dec'],
    ['num_x_bits', 'num_nf', 'res_dist', 'use_se'],
    list(OFFICIAL_DEFAULTS),
])
def test_older_files_lack_newer_arguments(gone):
    "What is absent was the official default when the argument came"
    kept = {name: value for name, value in OFFICIAL_DEFAULTS.items() if name not in gone}
    assert from_args(kept) == from_args(OFFICIAL_DEFAULTS)
    assert from_args(argparse.Namespace(**kept)) == from_args(OFFICIAL_DEFAULTS)


def small_args(**changes):
    "The official arguments of a small network"
    return to_args(ModelConfig(**SMALL, **changes))


@pytest.mark.parametrize('args,says', [
    ({'arch_instance': 'res_bnelu'}, "'res_bnelu' is made of other cells"),
    ({'dataset': 'imagenet'}, 'no known image size'),
    ({'num_postprocess_blocks': 2}, 'differ'),
    ({'num_latent_scales': 7}, 'is not whole'),
    ({'num_x_bits': 9}, 'n_bits'),
    ({'num_channels_enc': 'wide'}, 'the official arguments'),
])
def test_what_cannot_be_converted_is_named(args, says):
    with pytest.raises(BadInput, match=says):
        from_args({**small_args(), **args})


@pytest.mark.parametrize('setting,says', [
    (dict(channel_mult=3), 'channel_mult: 3'),
    (dict(n_flows=1, flows_in_prior=True), 'flows_in_prior'),
    (dict(group_divisor=3), 'group_divisor: 3'),
    (dict(likelihood='normal_mixture'), 'likelihood: normal_mixture'),
    (dict(image_size=[32, 64]), 'image_size'),
    (dict(image_channels=1), 'no images of 1 channel'),
])
def test_what_the_official_code_cannot_build_is_named(setting, says):
    with pytest.raises(BadInput, match=says):
        small_args(**setting)


def test_weights_of_the_other_system_are_refused_with_the_reason():
    with pytest.raises(BadInput, match='another system.*YAML'):
        from_official({'encoder_tower.0.weight': torch.zeros(1)}, small_args())


@pytest.mark.parametrize('content', [
    dict(state_dict=3, args={}),
    dict(state_dict=dict(a='b'), args={}),
    [1],
    dict(args={}),
])
def test_other_files_are_refused(content, tmp_path):
    file = tmp_path / 'a.pt'
    torch.save(content, file)
    with pytest.raises(BadInput, match='no official checkpoint'):
        load_official(file)

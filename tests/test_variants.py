"The swaps of docs/variants.py, each against something that is computed in another way"
import copy
import sys
from pathlib import Path

import pytest
import torch
from torch import distributions as D

from nvae.config import configured
from nvae.evaluation.likelihood import estimate
from nvae.network.fast import use_fast, use_plain
from nvae.network.model import NVAE
from nvae.network.normal import Normal
from nvae.training import losses
from nvae.training.losses import kl_coefficient, lr_at

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'docs'))
import ablations
import variants


@pytest.fixture
def thin():
    "The network of the ablations, thinner still"
    torch.manual_seed(0)
    return use_fast(NVAE(configured('digits', [*ablations.NETWORK.split(), 'channels=4', 'n_groups=1'])))


@pytest.fixture
def x(): return torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(1)).round()


def noise(*shape): return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def test_nearest_neighbour_skips_repeat_pixels(thin):
    variants.with_nearest_skips(thin)
    skips = [m for m in thin.modules() if isinstance(m, variants.NearestSkipUp)]
    assert len(skips) == 3  # from 4×4 to 8×8, and two to the image
    x = noise(2, skips[0].conv.in_channels, 3, 5)
    repeated = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(skips[0](x), skips[0].conv(repeated))


def test_an_additive_merge_adds_what_depends_on_z_alone(thin, x):
    variants.with_additive_merge(thin)
    group = thin.groups[1]
    h, z = noise(2, group.merge_conv.out_channels, 8, 8), noise(2, group.z_channels, 8, 8)
    torch.testing.assert_close(group.merge(h, z) - h, group.merge(2 * h, z) - 2 * h, atol=1e-5, rtol=1e-5)
    assert thin(x, seed=0).params.isfinite().all()


@pytest.mark.parametrize('which', ['pre_process', 'post_process'])
def test_a_scaled_cell_is_the_skip_and_a_share_of_the_branch(thin, which):
    "In training, where a fast cell is one step of autograd with 0.1 written into it, and in evaluation; its gradients"
    cell = getattr(thin, which)[0]
    plain, scaled = use_plain(copy.deepcopy(cell)), variants.ScaledCell(copy.deepcopy(cell), 0.35)
    x = noise(4, cell.norm1.num_features, 8, 8)
    def by_hand(x):
        f = plain.body(x)
        return plain.skip(x) + 0.35 * plain.se(f) * f
    def slope(f):
        at = x.clone().requires_grad_()
        f(at).square().sum().backward()
        return at.grad
    torch.testing.assert_close(scaled(x), by_hand(x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(slope(scaled), slope(by_hand), atol=1e-3, rtol=1e-3)
    scaled.eval(), plain.eval()
    torch.testing.assert_close(scaled(x), by_hand(x), atol=1e-4, rtol=1e-4)


def test_each_tower_has_the_scale_of_its_length(thin):
    variants.with_scaled_branches(thin)
    scales = {where: {round(m.factor / 10, 4) for name, m in thin.named_modules()
                      if name.startswith(where) and isinstance(m, variants.ScaledCell)}
              for where in (('pre_process', 'bottom_up'), ('top_down', 'post_process'))}
    assert list(scales.values()) == [{round(5 ** -.5, 4)}, {0.5}]  # 2 + 3 cells, 2 + 2 cells


def test_softplus_gives_one_for_zero_and_grows_like_its_input():
    with variants.with_softplus():
        sigma = Normal(torch.zeros(3), torch.tensor([0., 50., -50.])).sigma
    torch.testing.assert_close(sigma, torch.tensor([1.01, 50.55, 0.01]), atol=1e-2, rtol=0)
    assert Normal(torch.zeros(()), torch.tensor(50.)).sigma < 150, 'as it was afterwards: at most exp(5)'


def test_free_bits_have_the_gradient_of_a_maximum(thin):
    kls = torch.tensor([[.1, .4], [2.9, .1], [1.5, .1]], requires_grad=True)  # means .25, 1.5 and .8
    free = torch.autograd.grad(kls.mean(1).clamp_min(variants.LAMBDA).sum(), kls)[0]
    with variants.with_free_bits(balanced=False): ours = losses.balance(kls, thin.cfg, 1.).mean()
    torch.testing.assert_close(torch.autograd.grad(ours, kls)[0], free)
    assert ours == kls.sum(0).mean(), 'the loss that is recorded stays the bound'


def test_a_mixture_of_one_component_costs_what_the_normal_does_on_average(thin):
    group, shape = copy.deepcopy(thin.groups[0]), thin.cfg.latent_shapes[0]
    s, h = noise(1, group.posterior_head.in_channels, 4, 4), noise(1, 1, 4, 4)
    exact = group.infer(s, h, noise(1, *shape)).kl
    variants.with_mixture_prior(thin, 1)
    thin.groups[0].means.data.zero_()
    drawn = thin.groups[0].infer(s.expand(20_000, -1, -1, -1), h, noise(20_000, *shape)).kl
    error = drawn.std() / len(drawn) ** .5
    assert abs(drawn.mean() - exact) < 4 * error and error < .05 * exact


def test_a_mixture_is_that_of_torch(thin):
    variants.with_mixture_prior(thin, 3)
    group, z = thin.groups[0], noise(5, *thin.cfg.latent_shapes[0])
    group.logits.data += torch.tensor([0., 1., -1.])
    parts = D.Independent(D.Normal(5 * (group.means / 5).tanh(), 1.01), 3)
    torch.testing.assert_close(group.log_prior(z), D.MixtureSameFamily(D.Categorical(logits=group.logits), parts)
                               .log_prob(z))


def test_importance_weights_of_one_draw_give_the_bound_and_of_two_the_estimate_of_evaluation(thin, x):
    one = thin.eval()(x, seed=0)
    args = x, .5, thin.cfg
    torch.testing.assert_close(variants.importance_weighted(one, *args).total, losses.objective(one, *args).total)
    variants.with_several_draws(thin)
    torch.manual_seed(3)
    noises = [[torch.randn(len(x), *shape) for shape in thin.cfg.latent_shapes] for _ in range(2)]
    expected = estimate(thin, x, noises).log_px
    torch.manual_seed(3)
    thin.training = True  # the groups' draws too, but BatchNorm as it is
    for group in thin.groups: group.training = True
    loss = variants.importance_weighted(thin(x), x, 1., thin.cfg)
    torch.testing.assert_close(loss.total.double(), -expected.mean(), atol=1e-3, rtol=1e-5)


def test_a_shorter_run_has_a_shorter_schedule():
    def schedule(plan):
        train = configured('digits', ablations.settings(plan, 0)).train
        steps = round(250 * train.epochs)
        return steps, [(round(lr_at(s, 250, train), 5), round(kl_coefficient(s, 250, train), 2))
                       for s in (steps // 20, steps // 10, steps // 2, steps)]
    whole, usual = schedule(variants.RUNS['as it is'])
    fewer, shorter = schedule(ablations.Plan(variants.of_steps(200)))
    assert (whole, fewer) == (250, 200)
    for (rate, beta), (short_rate, short_beta) in zip(usual, shorter):
        assert rate == pytest.approx(short_rate, rel=.05) and beta == pytest.approx(short_beta, abs=.05)

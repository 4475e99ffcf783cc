"Exploring, on networks of every kind: flows, one group, grey and binary images, rectangles; and recipes that give the same bits"
import json
import warnings

import pytest
import torch

from nvae.checkpoint import load_model, save_model
from nvae.config import BadInput, Config, ModelConfig
from nvae.explore import PATHS, SPACES, Change, descend, embed, explore, fold_temperature, interpolate, mix, noise_walk, reconstruct, resample, unembed
from nvae.model import NVAE, draw_noise
from nvae.recipe import Recipe, draw, explore_recipes, like, model_hash, provenance, recipes_in, save_drawing
from nvae.sampling import current_statistics, draw_images
from nvae.viz import image_grid, read_png_meta, save_png

SMALL = dict(image_size=16, channels=8, z_channels=3, enc_cells=1, dec_cells=1, n_mix=2, n_pre_cells=1, n_post_cells=1)
KINDS = dict(two_scales=dict(n_groups=2), flows=dict(n_groups=2, n_flows=1), flows_in_prior=dict(n_groups=2, n_flows=2, flows_in_prior=True), one_group=dict(n_scales=1, n_groups=1),
             binary=dict(n_groups=2, image_channels=1, likelihood='bernoulli'), rectangle=dict(n_groups=1, image_size=[16, 32]), absolute=dict(n_groups=2, residual_posterior=False),
             three_scales=dict(n_scales=3, n_groups=4, group_divisor=2, likelihood='normal'))


@pytest.fixture(params=KINDS)
def model(request):
    "A random network with BatchNorm statistics that are not those of the start"
    torch.manual_seed(0)
    model = NVAE(Config(name='small', model=ModelConfig(**{**SMALL, **KINDS[request.param]})))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if 'flows' in name: p.add_(.05 * torch.randn_like(p))
        for _ in range(3): model.train()(torch.rand(4, model.cfg.image_channels, *model.cfg.size))
    return model.eval()


def images(model, n=2):
    x = torch.rand(n, model.cfg.image_channels, *model.cfg.size, generator=torch.Generator().manual_seed(1))
    return x.round() if model.cfg.likelihood == 'bernoulli' else (x * 255).round() / 255


def close(a, b, atol=1e-4): torch.testing.assert_close(a, b, rtol=0, atol=atol)


def test_a_descent_gives_what_generate_gives_and_resumes_anywhere(model):
    noise = draw_noise(model.cfg, 3, 0)
    whole = descend(model, fold_temperature(model.cfg, noise, .7))
    close(whole.params, model.generate(temperature=.7, noise=noise).params, 1e-3)
    for g in range(len(model.groups)):
        other = [a if i < g else b for i, (a, b) in enumerate(zip(fold_temperature(model.cfg, noise, .7), draw_noise(model.cfg, 3, 1)))]
        assert descend(model, other, g, whole).params.equal(descend(model, other).params)


def test_resampling_leaves_what_lies_above_alone(model):
    noise, before = draw_noise(model.cfg, 1, 0), current_statistics(model)
    for g in range(len(model.groups)):
        a, b = (descend(model, [e.expand(2, -1, -1, -1) for e in noise]).states[g] for _ in range(2))
        assert a.equal(b)
        rows = resample(model, noise, Change((g,), 2.), n=2)
        assert not rows[0].equal(rows[1]) and rows.isfinite().all()
    assert explore(model, noise, n=2).shape == (len(model.groups), 2, model.cfg.image_channels, *model.cfg.size)
    assert all(before[k].equal(v) for k, v in current_statistics(model).items())


def test_a_cell_changes_only_with_its_cell(model):
    g, (_, h, w) = 0, model.cfg.latent_shapes[0]
    noise = draw_noise(model.cfg, 1, 0)
    corners = [resample(model, noise, Change((g,), 3., cell=c)) for c in ((0, 0), (h - 1, w - 1))]
    assert not corners[0].equal(corners[1])
    with pytest.raises(BadInput, match='outside group 0'): resample(model, noise, Change((g,), cell=(h, 0)))


def test_several_changes_follow_one_another(model):
    noise, last = draw_noise(model.cfg, 1, 0), len(model.groups) - 1
    both = resample(model, noise, [Change((0,), seed=1), Change((last,), seed=2)])
    again = resample(model, noise, [Change((0,), seed=3), Change((last,), seed=2), Change((0,), seed=1)])
    if last: close(both, again, 1e-6)
    assert resample(model, noise, []).equal(draw_images(model, noise)) or torch.allclose(resample(model, noise, []), draw_images(model, noise), atol=1e-5)


@pytest.mark.parametrize('space', SPACES)
@pytest.mark.parametrize('path', PATHS)
def test_interpolation_ends_at_the_reconstructions(model, space, path):
    a, b = images(model).split(1)
    strip = interpolate(model, a, b, 3, space, path)
    assert strip[0].equal(a[0]) and strip[-1].equal(b[0])
    for at, x in ((1, a), (-2, b)): close(strip[at], unembed(model, embed(model, x))[0], 2e-2)


def test_mixing_takes_whole_scales(model):
    a, b = images(model).split(1)
    for k in range(model.cfg.n_scales + 1):
        zs = [u if s >= model.cfg.n_scales - k else v for s, u, v in zip(model.cfg.scale_of_group, embed(model, a), embed(model, b))]
        close(mix(model, a, b, k, 'z'), unembed(model, zs))


def test_reconstructing_from_none_is_sampling_and_from_all_is_decoding(model):
    x = images(model)
    close(reconstruct(model, x), model(x, [torch.zeros(2, *s) for s in model.cfg.latent_shapes]).px.mean)
    close(reconstruct(model, x, sample=True, seed=5), model(x, seed=5).px.mean)
    close(reconstruct(model, x, 0, temperature=.8, seed=5), model.generate(2, .8, seed=5).px.mean)
    none = reconstruct(model, x, 0)
    close(none[0], none[1], 1e-5)


def test_a_walk_comes_back(model):
    noise = draw_noise(model.cfg, 1, 0)
    frames = noise_walk(model, noise, 0, n=4, temperature=.7, batch_size=2)
    close(frames[:1], draw_images(model, noise, .7), 1e-3)
    close(frames[2:3], resample(model, [e if g else -e for g, e in enumerate(noise)], [], temperature=.7), 1e-3)


@pytest.mark.parametrize('call,says', [(lambda m, x: reconstruct(m, x, 99), '99 groups'), (lambda m, x: mix(m, x[:1], x[1:], 99), '99 coarse scales'),
                                       (lambda m, x: interpolate(m, x[:1], x[1:], 1), 'at least 2'),
                                       (lambda m, x: embed(m, x[..., :8]), 'the model takes'), (lambda m, x: resample(m, draw_noise(m.cfg, 1, 0), Change((99,))), 'no group 99'),
                                       (lambda m, x: resample(m, draw_noise(m.cfg, 1, 0), Change((0,), float('nan'))), 'strength'),
                                       (lambda m, x: explore(m, draw_noise(m.cfg, 1, 0), temperature=2.5), 'outside 0–2'),
                                       (lambda m, x: descend(m, draw_noise(m.cfg, 1, 0)[1:]), 'groups')])
def test_bad_input_says_what(model, call, says):
    with pytest.raises(BadInput, match=says): call(model, images(model))


def test_recipes_survive_a_png(model, tmp_path):
    file = save_model(model, tmp_path / 'small.model')
    recipes, layout = explore_recipes(model.cfg, n=2, strength=2., image=Recipe(seed=4, temperature=(.7,) * model.cfg.n_scales, iterations=1))
    recipes = [*recipes, Recipe(seed=2, n=5, temperature=.9, iterations=1, pixels='sample', index=3)]
    path = save_drawing(model, file, recipes, tmp_path / 'a.png', **layout)
    again = like(path, device='cpu')
    assert again.recipes == recipes and again.grid == layout
    assert save_drawing(again.model, file, again.recipes, tmp_path / 'b.png', **again.grid).read_bytes() == path.read_bytes()


def test_the_same_weights_in_another_file_and_others_in_the_same(model, tmp_path):
    recipe = Recipe(n=2, iterations=1)
    path = save_drawing(model, save_model(model, tmp_path / 'a.model'), [recipe], tmp_path / 'a.png')
    assert like(path, save_model(model, tmp_path / 'b.model', epoch=9), 'cpu').images.equal(draw(load_model(tmp_path / 'a.model'), recipe))
    with torch.no_grad(): model.head[1].bias[0] += 1e-3
    save_model(model, tmp_path / 'a.model')
    with pytest.raises(BadInput, match='weights differ'): like(path, device='cpu')


def test_images_that_are_not_finite_are_counted_and_not_shown(model):
    variants = Recipe(n=2, iterations=0, changes=(Change((0,)),))
    with torch.no_grad(): model.head[1].bias.fill_(float('nan'))
    with pytest.warns(UserWarning, match='2 of 2 images'): assert draw(model, variants).unique().tolist() == [.5]


@pytest.mark.parametrize('meta,says', [(dict(recipes=[dict(sead=1)], model='x.model'), 'no recipe'), (dict(model='x.model'), "can't be drawn again"), ({}, "can't be drawn again"),
                                       (dict(recipes=[dict(seed=0, n=1, index=3)], model='{file}', sha256='{hash}'), 'images 0 to 0'),
                                       (dict(recipes=[dict(seed=0, n=1)], model='gone/x.model'), "isn't there")])
def test_pngs_that_do_not_tell_enough(model, tmp_path, meta, says):
    file = save_model(model, tmp_path / 'small.model')
    meta = json.loads(json.dumps(meta).replace('{file}', str(file)).replace('{hash}', model_hash(model)))
    path = save_png(image_grid(torch.zeros(1, 3, 4, 4)), tmp_path / 'a.png', meta)
    with pytest.raises(BadInput, match=says): like(path, device='cpu')


def test_drawing_on_another_device_is_said(model, tmp_path):
    file = save_model(model, tmp_path / 'small.model')
    path = save_drawing(model, file, [Recipe(n=1, iterations=0)], tmp_path / 'a.png')
    elsewhere = save_png(image_grid(torch.zeros(1, 3, 4, 4)), tmp_path / 'b.png', {**read_png_meta(path), 'device': 'cuda'})
    with pytest.warns(UserWarning, match='drawn on cuda'): like(elsewhere, device='cpu')
    with warnings.catch_warnings(): warnings.simplefilter('error'); like(path, device='cpu')
    assert recipes_in(provenance(model, file, None, command='nvae reconstruct')) == []

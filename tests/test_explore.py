"Exploring, on networks of every kind (flows, one group, binary, rectangles), and recipes that give the same bits"
import json
import warnings

import pytest
import torch
from small_models import small_network

from nvae.errors import BadInput
from nvae.noise import draw_noise, fold_temperature
from nvae.plots.pictures import image_grid, read_png_meta, save_png, tile_scale
from nvae.runs.checkpoint import load_model, model_hash, save_model
from nvae.sampling.encode import SPACES, embed, unembed
from nvae.sampling.explore import Change, descend, explore, noise_walk, reconstruct, resample
from nvae.sampling.interpolate import PATHS, interpolate, mix
from nvae.sampling.provenance import like, provenance, recipes_in, save_drawing
from nvae.sampling.recipe import Recipe, draw, explore_recipes
from nvae.sampling.sample import draw_images
from nvae.sampling.statistics import current_statistics

SMALL = dict(z_channels=3, n_pre_cells=1, n_post_cells=1)
KINDS = dict(
    two_scales=dict(n_groups=2),
    flows=dict(n_groups=2, n_flows=1),
    flows_in_prior=dict(n_groups=2, n_flows=2, flows_in_prior=True),
    one_group=dict(n_scales=1, n_groups=1),
    binary=dict(n_groups=2, image_channels=1, likelihood='bernoulli'),
    rectangle=dict(n_groups=1, image_size=[16, 32]),
    absolute=dict(n_groups=2, residual_posterior=False),
    three_scales=dict(n_scales=3, n_groups=4, group_divisor=2, likelihood='normal'),
)


@pytest.fixture(params=KINDS)
def model(request):
    "A random network with BatchNorm statistics that are not those of the start"
    model = small_network(**SMALL, **KINDS[request.param])
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if 'flows' in name:
                weight.add_(.05 * torch.randn_like(weight))
        for _ in range(3):
            model.train()(torch.rand(4, model.cfg.image_channels, *model.cfg.size))
    return model.eval()


def images(model, n=2):
    "Random images (n, C, H, W) on the levels that the model knows"
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(n, model.cfg.image_channels, *model.cfg.size, generator=generator)
    levels = 1 if model.cfg.likelihood == 'bernoulli' else 255
    return (x * levels).round() / levels


def close(a, b, atol=1e-4):
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def test_a_descent_gives_what_generate_gives_and_resumes_anywhere(model):
    noise = draw_noise(model.cfg, 3, 0)
    folded = fold_temperature(model.cfg, noise, .7)
    other_noise = draw_noise(model.cfg, 3, 1)
    whole = descend(model, folded)
    close(whole.params, model.generate(temperature=.7, noise=noise).params, 1e-3)
    for g in range(len(model.groups)):
        other = [*folded[:g], *other_noise[g:]]
        assert descend(model, other, g, whole).params.equal(descend(model, other).params)


def test_resampling_leaves_what_lies_above_alone(model):
    noise = draw_noise(model.cfg, 1, 0)
    before = current_statistics(model)
    twice = [group.expand(2, -1, -1, -1) for group in noise]
    for g in range(len(model.groups)):
        first, second = (descend(model, twice).states[g] for _ in range(2))
        assert first.equal(second)
        rows = resample(model, noise, Change((g,), 2.), n=2)
        assert not rows[0].equal(rows[1])
        assert rows.isfinite().all()
    image_shape = model.cfg.image_channels, *model.cfg.size
    assert explore(model, noise, n=2).shape == (len(model.groups), 2, *image_shape)
    assert all(before[name].equal(value) for name, value in current_statistics(model).items())


def test_a_cell_changes_only_with_its_cell(model):
    _, h, w = model.cfg.latent_shapes[0]
    noise = draw_noise(model.cfg, 1, 0)
    top_left, bottom_right = (0, 0), (h - 1, w - 1)
    corners = [resample(model, noise, Change((0,), 3., cell=cell)) for cell in (top_left, bottom_right)]
    assert not corners[0].equal(corners[1])
    with pytest.raises(BadInput, match='outside group 0'):
        resample(model, noise, Change((0,), cell=(h, 0)))


def test_several_changes_follow_one_another(model):
    noise = draw_noise(model.cfg, 1, 0)
    last = len(model.groups) - 1
    both = resample(model, noise, [Change((0,), seed=1), Change((last,), seed=2)])
    again = resample(model, noise, [Change((0,), seed=3), Change((last,), seed=2), Change((0,), seed=1)])
    if last:
        close(both, again, 1e-6)
    unchanged = resample(model, noise, [])
    drawn = draw_images(model, noise)
    assert unchanged.equal(drawn) or torch.allclose(unchanged, drawn, atol=1e-5)


@pytest.mark.parametrize('space', SPACES)
@pytest.mark.parametrize('path', PATHS)
def test_interpolation_ends_at_the_reconstructions(model, space, path):
    a, b = images(model).split(1)
    strip = interpolate(model, a, b, 3, space, path)
    assert strip[0].equal(a[0])
    assert strip[-1].equal(b[0])
    for row, x in ((1, a), (-2, b)):
        reconstruction, *_ = unembed(model, embed(model, x))
        close(strip[row], reconstruction, 2e-2)


def test_mixing_takes_whole_scales(model):
    a, b = images(model).split(1)
    latents = list(zip(model.cfg.scale_of_group, embed(model, a), embed(model, b)))
    for n_coarse in range(model.cfg.n_scales + 1):
        finest_from_a = model.cfg.n_scales - n_coarse
        mixed = [of_a if scale >= finest_from_a else of_b for scale, of_a, of_b in latents]
        close(mix(model, a, b, n_coarse, 'z'), unembed(model, mixed))


def test_reconstructing_from_none_is_sampling_and_from_all_is_decoding(model):
    x = images(model)
    no_noise = [torch.zeros(2, *shape) for shape in model.cfg.latent_shapes]
    close(reconstruct(model, x), model(x, no_noise).px.mean)
    close(reconstruct(model, x, sample=True, seed=5), model(x, seed=5).px.mean)
    close(reconstruct(model, x, 0, temperature=.8, seed=5), model.generate(2, .8, seed=5).px.mean)
    none = reconstruct(model, x, 0)
    close(none[0], none[1], 1e-5)


def test_a_walk_comes_back(model):
    noise = draw_noise(model.cfg, 1, 0)
    opposite = [-noise[0], *noise[1:]]
    frames = noise_walk(model, noise, 0, n=4, temperature=.7, batch_size=2)
    close(frames[:1], draw_images(model, noise, .7), 1e-3)
    close(frames[2:3], resample(model, opposite, [], temperature=.7), 1e-3)


def noise_of(model):
    return draw_noise(model.cfg, 1, 0)


@pytest.mark.parametrize('call,says', [
    (lambda m, x: reconstruct(m, x, 99), '99 groups'),
    (lambda m, x: mix(m, x[:1], x[1:], 99), '99 coarse scales'),
    (lambda m, x: interpolate(m, x[:1], x[1:], 1), 'at least 2'),
    (lambda m, x: embed(m, x[..., :8]), 'the model takes'),
    (lambda m, x: resample(m, noise_of(m), Change((99,))), 'no group 99'),
    (lambda m, x: resample(m, noise_of(m), Change((0,), float('nan'))), 'strength'),
    (lambda m, x: explore(m, noise_of(m), temperature=2.5), 'outside 0–2'),
    (lambda m, x: descend(m, noise_of(m)[1:]), 'groups'),
])
def test_bad_input_says_what(model, call, says):
    with pytest.raises(BadInput, match=says):
        call(model, images(model))


def test_recipes_survive_a_png(model, tmp_path):
    file = save_model(model, tmp_path / 'small.model')
    model = load_model(file, 'cpu')  # whose weights lie in memory as those of every loaded model do
    start = Recipe(seed=4, temperature=(.7,) * model.cfg.n_scales, iterations=1)
    variants, layout = explore_recipes(model.cfg, n=2, strength=2., image=start)
    recipes = [*variants, Recipe(seed=2, n=5, temperature=.9, iterations=1, pixels='sample', index=3)]
    path = save_drawing(model, file, recipes, tmp_path / 'a.png', **layout)
    again = like(path, device='cpu')
    assert again.recipes == recipes
    assert again.grid == dict(layout, scale=tile_scale(again.images))
    copy = save_drawing(again.model, file, again.recipes, tmp_path / 'b.png', **again.grid)
    assert copy.read_bytes() == path.read_bytes()


def test_the_same_weights_in_another_file_and_others_in_the_same(model, tmp_path):
    recipe = Recipe(n=2, iterations=1)
    file = save_model(model, tmp_path / 'a.model')
    path = save_drawing(model, file, [recipe], tmp_path / 'a.png')
    other_file = save_model(model, tmp_path / 'b.model', epoch=9)
    assert like(path, other_file, 'cpu').images.equal(draw(load_model(file), recipe))
    with torch.no_grad():
        model.head[1].bias[0] += 1e-3
    save_model(model, file)
    with pytest.raises(BadInput, match='weights differ'):
        like(path, device='cpu')


def test_images_that_are_not_finite_are_counted_and_not_shown(model):
    variants = Recipe(n=2, iterations=0, changes=(Change((0,)),))
    with torch.no_grad():
        model.head[1].bias.fill_(float('nan'))
    with pytest.warns(UserWarning, match='2 of 2 images'):
        shown = draw(model, variants)
    assert shown.unique().tolist() == [.5]


@pytest.mark.parametrize('meta,says', [
    (dict(recipes=[dict(sead=1)], model='x.model'), 'no recipe'),
    (dict(model='x.model'), "can't be drawn again"),
    ({}, "can't be drawn again"),
    (dict(recipes=[dict(seed=0, n=1, index=3)], model='{file}', sha256='{hash}'), 'images 0 to 0'),
    (dict(recipes=[dict(seed=0, n=1)], model='gone/x.model'), "isn't there"),
])
def test_pngs_that_do_not_tell_enough(model, tmp_path, meta, says):
    file = save_model(model, tmp_path / 'small.model')
    text = json.dumps(meta).replace('{file}', str(file)).replace('{hash}', model_hash(model))
    path = save_png(image_grid(torch.zeros(1, 3, 4, 4)), tmp_path / 'a.png', json.loads(text))
    with pytest.raises(BadInput, match=says):
        like(path, device='cpu')


def test_drawing_on_another_device_is_said(model, tmp_path):
    file = save_model(model, tmp_path / 'small.model')
    path = save_drawing(model, file, [Recipe(n=1, iterations=0)], tmp_path / 'a.png')
    meta = {**read_png_meta(path), 'device': 'cuda'}
    elsewhere = save_png(image_grid(torch.zeros(1, 3, 4, 4)), tmp_path / 'b.png', meta)
    with pytest.warns(UserWarning, match='drawn on cuda'):
        like(elsewhere, device='cpu')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        like(path, device='cpu')
    assert recipes_in(provenance(model, file, None, command='nvae reconstruct')) == []

"Recipes and hashes of other versions of nvae, and recipes that can't be drawn"
import pytest
import torch

from nvae.config import Config, ModelConfig
from nvae.data.images import read_image
from nvae.errors import BadInput
from nvae.network.model import NVAE
from nvae.plots.pictures import image_grid, png, read_png_meta, save_png, to_pil
from nvae.runs.checkpoint import METHOD, is_hash_of, model_hash, model_hash_v1, save_model
from nvae.sampling.explore import Change
from nvae.sampling.provenance import like, provenance, save_drawing
from nvae.sampling.recipe import Passage, Recipe, Start, as_text, draw, draw_all, from_text
from nvae.sampling.restore import Restoration


class Later(ModelConfig):
    "The settings of a later version"
    mirrored: bool = False


@pytest.fixture
def model():
    torch.manual_seed(0)
    small = ModelConfig(image_size=16, channels=8, n_groups=1, z_channels=4, enc_cells=1, dec_cells=1, n_mix=2)
    return NVAE(Config(model=small)).eval()


def drawn_before(model, tmp_path, **changed):
    "A picture, and what it carries with other values in its recipe; values of None are left out"
    file = save_model(model, tmp_path / 'small.model')
    path = save_drawing(model, file, [Recipe(n=2, temperature=.7, iterations=0)], tmp_path / 'now.png')
    meta = read_png_meta(path)
    recipe = {k: v for k, v in {**meta['recipes'][0], **changed}.items() if v is not None}
    return path, {**meta, 'recipes': [recipe]}


def test_the_hash_of_old_pictures_is_still_known(model):
    with torch.no_grad():
        for v in model.state_dict().values(): v.copy_(torch.arange(v.numel()).view(v.shape) % 64)  # alike everywhere
    old = 'eaa66c04f710937e0607afc675f474cf409cc115356f73b75722deaa39459a88'  # by the code of before
    assert model_hash_v1(model) == old and is_hash_of(model, old) and is_hash_of(model, model_hash(model))
    assert not is_hash_of(model, None)


def test_a_setting_that_is_added_later_does_not_change_the_hashes(model):
    before = model_hash(model), model_hash_v1(model)
    settings = model.cfg.model_dump()
    model.config = model.config.model_copy(update=dict(model=Later(**settings)))
    assert (model_hash(model), model_hash_v1(model)) == before
    model.config = model.config.model_copy(update=dict(model=Later(**settings, mirrored=True)))
    assert model_hash(model) != before[0]


def test_a_picture_of_before_is_drawn_again_with_a_word(model, tmp_path):
    path, meta = drawn_before(model, tmp_path, method=None)
    old = save_png(image_grid(torch.zeros(1, 3, 4, 4)), tmp_path / 'old.png', {**meta, 'sha256': model_hash_v1(model)})
    with pytest.warns(UserWarning, match='earlier nvae'):
        again = like(old, device='cpu')
    assert again.recipes[0].method == 1
    assert (again.images - like(path, device='cpu').images).abs().max() <= 1 / 255


@pytest.mark.parametrize('changed', [dict(method=METHOD + 1), dict(mirrored=True)])
def test_a_picture_of_a_newer_version_is_refused(model, tmp_path, changed):
    _, meta = drawn_before(model, tmp_path, **changed)
    newer = save_png(image_grid(torch.zeros(1, 3, 4, 4)), tmp_path / 'newer.png', meta)
    with pytest.raises(BadInput, match='drawn by a newer nvae'): like(newer, device='cpu')
    for part in 'start', 'passage':
        plain = Recipe(n=6, start=Start(('a', 'b')), passage=Passage()).plain()
        plain[part]['mirrored'] = True
        with pytest.raises(BadInput, match='newer nvae'): Recipe.from_dict(plain)


def test_recipes_that_can_not_be_drawn():
    for changes in (), 2 * (Change((0,)),):
        with pytest.raises(BadInput, match='a walk needs one change'): Recipe(walk=True, changes=changes)
    for start in None, Start(('a',)):
        with pytest.raises(BadInput, match='two images'): Recipe(start=start, passage=Passage())


def test_restorations_that_can_not_be_drawn(model):
    small, smaller = (Restoration(as_text(torch.rand(1, 3, side, side)), enlarge=16 // side) for side in (8, 4))
    recipe = Recipe(n=2, iterations=0, restoration=small)
    assert Recipe.from_dict(recipe.plain()) == recipe and 'restoration' not in Recipe().plain()
    with pytest.raises(BadInput, match='by itself'): Recipe(restoration=small, changes=(Change((0,)),))
    with pytest.raises(BadInput, match='picture for itself'):
        draw_all(model, [recipe, Recipe(n=1, iterations=0, restoration=smaller)])
    for wrong in dict(enlarge=3), dict(noise=2.), dict(enlarge=None), dict(image=3), dict(rounds=0), dict(mirrored=1):
        plain = recipe.plain()
        plain['restoration'].update(wrong)
        with pytest.raises(BadInput): Recipe.from_dict(plain)
    for text in '!', 'aGVsbG8=':
        with pytest.raises(BadInput, match="can't be read"):
            draw(model, Recipe(n=1, iterations=0, restoration=Restoration(text, noise=.1)))


def test_an_image_that_was_read_is_not_decoded_again(model, monkeypatch):
    x = read_image(png(to_pil(torch.rand(1, 3, 16, 16))), model.cfg)
    recipe = Recipe(n=2, iterations=0, start=Start((as_text(x, model.cfg),)), changes=(Change((0,)),))
    read_from_text = draw(model, Recipe.from_dict(recipe.plain()))
    monkeypatch.setattr('nvae.sampling.recipe.read_image', None)
    assert from_text(as_text(x, model.cfg), model.cfg) is x
    assert draw(model, recipe).equal(read_from_text)
    assert provenance(model, 'x.model', [recipe])['recipes'][0]['start'].keys() == {'images', 'sampled', 'n_coarse'}

"scikit-learn's checks of estimators, on the transformer as it is and on one that takes tables of any width"
import tempfile

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils.estimator_checks import estimator_checks_generator
from small_models import small_network

from nvae.runs.checkpoint import save_model
from nvae.sampling.features import LatentsTransformer

HOME = tempfile.TemporaryDirectory()
FILE = str(save_model(small_network(n_groups=1, image_channels=1).eval(), f'{HOME.name}/small.model'))


class AnyWidth(LatentsTransformer):
    "Puts any table into images, so that checks with tables of their own apply"
    def _images(self, X):
        m = self.model_.cfg
        squeezed = torch.from_numpy(X.reshape(len(X), -1)).sigmoid()
        n = m.size[0] * m.size[1]
        return torch.nn.functional.pad(squeezed[:, :n], (0, max(0, n - squeezed.shape[1]))).view(-1, 1, *m.size)


IN_32_BITS = dict(check_methods_sample_order_invariance='looked at below, with room for the rounding of 32 bits')


def checks():
    "Each under its own name, without that of a temporary folder"
    for estimator, check in estimator_checks_generator(AnyWidth(FILE, device='cpu')):
        name = check.func.__name__
        marks = [pytest.mark.xfail(reason=IN_32_BITS[name])] if name in IN_32_BITS else []
        yield pytest.param(estimator, check, id=name, marks=marks)


@pytest.mark.parametrize('estimator, check', list(checks()))
def test_scikit_learns_checks(estimator, check): check(estimator)


@pytest.mark.parametrize('shape', [(7, 1, 16, 16), (7, 256)])
def test_images_and_rows_come_back_in_their_shape(shape):
    X = np.random.default_rng(0).random(shape, np.float32)
    step = LatentsTransformer(FILE, n_groups=1, device='cpu').fit(X)
    Z = step.transform(X)
    assert Z.shape == (7, len(step.get_feature_names_out()))
    assert step.inverse_transform(Z).shape == shape
    assert np.abs(clone(step).set_params(batch_size=2).fit(X).transform(X[::-1]) - Z[::-1]).max() < 1e-5


@pytest.mark.parametrize('X, says', [
    (np.zeros((3, 255)), 'rows of as many numbers'), (np.zeros((3, 3, 16, 16)), 'rows of as many numbers'),
    (np.full((3, 256), 2), 'should lie in'), (np.full((3, 256), np.nan), 'NaN')])
def test_other_images_are_refused(X, says):
    with pytest.raises(ValueError, match=says): LatentsTransformer(FILE, device='cpu').fit(X)

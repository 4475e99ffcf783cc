"A run's notebook in JupyterLab, and the pages of the workbench: who only looks has changed nothing"
import shutil

import pytest
from hands import IDLE

from nvae.boards.server import BOARDS
from nvae.files import find_asset
from nvae.runs.headless import train_headless

TINY = dict(name='tiny', image_size=16, channels=8, n_groups=1, z_channels=4, enc_cells=1, dec_cells=1, n_mix=2,
            n_train=16, n_test=8, batch_size=8, epochs=1)
DIRTY = """async () => {
  const widget = window.jupyterapp.shell.currentWidget, kernel = widget.sessionContext.session.kernel
  await kernel.info
  await kernel.spec // JupyterLab has written both into the notebook
  return widget.content.model.dirty
}"""


def check_opened_is_not_changed(view):
    view.page.wait_for_function(IDLE)
    assert not view.page.evaluate(DIRTY)
    assert not view.page.locator('.jp-mod-dirty').count()
    assert not view.ours()


def test_a_run(notebook, project):
    assert train_headless('quickstart', TINY, runs=project / 'trained') == 0
    check_opened_is_not_changed(notebook('train', 'trained/tiny'))


@pytest.mark.parametrize('name', BOARDS)
def test_a_page_of_the_workbench(notebook, project, name):
    page = find_asset('nbs') / f'{BOARDS[name]}.ipynb'
    (project / 'book').mkdir(exist_ok=True)
    shutil.copy(page, project / 'book')
    check_opened_is_not_changed(notebook(page.stem, 'book'))

"A run's notebook in JupyterLab"
from hands import IDLE

from nvae.runs.headless import train_headless

TINY = dict(name='tiny', image_size=16, channels=8, n_groups=1, z_channels=4, enc_cells=1, dec_cells=1, n_mix=2,
            n_train=16, n_test=8, batch_size=8, epochs=1)
DIRTY = """async () => {
  const widget = window.jupyterapp.shell.currentWidget, kernel = widget.sessionContext.session.kernel
  await kernel.info
  await kernel.spec // JupyterLab has written both into the notebook
  return widget.content.model.dirty
}"""


def test_opened_it_is_not_changed(notebook, project):
    assert train_headless('quickstart', TINY, runs=project / 'trained') == 0
    view = notebook('train', 'trained/tiny')
    view.page.wait_for_function(IDLE)
    assert not view.page.evaluate(DIRTY)
    assert not view.page.locator('.jp-mod-dirty').count()
    assert not view.ours()

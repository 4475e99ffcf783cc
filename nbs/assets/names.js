// Names and states that a screen reader tells, where ipywidgets leaves them out: a board's scripts begin with this.

const HAS_LETTERS = /[\p{L}\p{N}]/u

function tell(element, name, value) {
  if (element && element.getAttribute(name) !== String(value)) element.setAttribute(name, value)
}

const labelOf = widget => widget.querySelector(':scope > .widget-label')?.textContent.trim() ?? ''

function nameSliders(board) {
  for (const slider of board.querySelectorAll('.widget-slider, .widget-hslider')) {
    const readout = slider.querySelector('.widget-readout')
    const label = labelOf(slider)
    for (const handle of slider.querySelectorAll('.noUi-handle')) {
      tell(handle, 'aria-label', label || slider.title || 'slider')
      if (readout?.textContent) tell(handle, 'aria-valuetext', readout.textContent)
    }
    if (!readout) continue
    if (readout.isContentEditable) tell(readout, 'role', 'textbox')
    if (readout.isContentEditable) tell(readout, 'aria-label', `${label}, as a number`)
  }
}

// A box without words of its own beside it is told by its tooltip
function nameBoxes(board) {
  for (const box of board.querySelectorAll('.widget-inline-hbox > :is(input, select, textarea)')) {
    const label = labelOf(box.parentElement)
    if (!label && box.title) tell(box, 'aria-label', box.title)
  }
}

// A toggle is pressed or not; one that unfolds something says whether that is to be seen
function nameButtons(board) {
  for (const group of board.querySelectorAll('.widget-toggle-buttons')) {
    tell(group, 'role', 'group')
    if (labelOf(group)) tell(group, 'aria-label', labelOf(group))
  }
  for (const button of board.querySelectorAll('.jupyter-button')) {
    const unfolds = /\bnvae-for-/.test(button.className)
    const isToggle = button.matches('.widget-toggle-button')
    if (isToggle) tell(button, unfolds ? 'aria-expanded' : 'aria-pressed', button.classList.contains('mod-active'))
    if (button.title && !HAS_LETTERS.test(button.textContent)) tell(button, 'aria-label', button.title)
  }
}

// The parts of a board as landmarks; as a page of its own it is what the page is about, and names it.
// One that another board stands in for is no landmark.
function nameParts(board) {
  if (board.matches('.nvae-host')) return board.removeAttribute('role')
  const title = `nvae · ${board.querySelector('.nvae-title')?.textContent ?? 'board'}`
  const isPage = !board.closest('.jp-NotebookPanel')
  tell(board, 'role', isPage ? 'main' : 'region')
  tell(board, 'aria-label', title)
  for (const [part, name] of [['rail', 'controls'], ['stage', 'picture']]) {
    tell(board.querySelector(`.nvae-${part}`), 'role', 'region')
    tell(board.querySelector(`.nvae-${part}`), 'aria-label', name)
  }
  if (!isPage) return
  document.title = title
  document.documentElement.lang ||= 'en'
}

// Keeps all names right while the board changes; returns what ends that
function nameControls(board) {
  let asked = 0
  function dress() {
    asked = 0
    nameSliders(board)
    nameBoxes(board)
    nameButtons(board)
    nameParts(board)
  }
  const observer = new MutationObserver(() => { asked ||= requestAnimationFrame(dress) })
  const seen = {subtree: true, childList: true, characterData: true, attributeFilter: ['class', 'title']}
  observer.observe(board, seen)
  dress()
  return () => observer.disconnect()
}

export {nameControls}

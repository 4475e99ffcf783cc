// The page's side of a board: its height, whether the kernel answers, which tab is shown.
// Frame is the first thing in a board, so that what it says stands above all else.

const PATIENCE = 3000 // ms without a connection before the board says so
const STOPPED = "The server has stopped or can't be reached: nothing here answers. What was picked or saved is on disk."
const MARGIN = 28     // pixels around a board in JupyterLab
const LEAST = 420     // pixels that a board needs
const NARROW = 700    // pixels of width up to which it scrolls; board.css has the same

// How high a board can be without scrolling
function room(board) {
  const notebook = board.closest('.jp-WindowedPanel-outer')
  if (notebook) return notebook.clientHeight - MARGIN
  const top = board.getBoundingClientRect().top + window.scrollY
  return window.innerHeight - top - MARGIN
}

function render({model, el}) {
  const banner = make('div', 'nvae-banner', {role: 'alert', hidden: true})
  const tabs = make('div', 'nvae-tabs', {role: 'tablist'})
  let board = null     // once the frame stands in it
  let lost = null      // when the connection was lost
  let unname = () => {}
  el.classList.add('nvae-frame')
  el.append(banner, tabs)

  // --- tabs
  function choose(name) {
    model.set('value', name)
    model.save_changes()
    dress()
  }

  function newTabs() {
    const names = model.get('names')
    tabs.replaceChildren(...names.map(name => {
      const tab = make('button', 'nvae-tab', {type: 'button', textContent: name, role: 'tab'})
      tab.onclick = () => choose(name)
      return tab
    }))
    tabs.hidden = !names.length
  }

  function dress() {
    const names = model.get('names')
    const at = names.indexOf(model.get('value'))
    if (board && names.length) board.dataset.tab = at
    ;[...tabs.children].forEach((tab, k) => {
      tab.setAttribute('aria-selected', k === at)
      tab.tabIndex = k === at ? 0 : -1
    })
  }

  tabs.onkeydown = e => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[e.key]
    const next = [...tabs.children][[...tabs.children].indexOf(e.target) + step]
    if (!step || !next) return
    e.preventDefault()
    next.focus()
    next.click()
  }

  // --- room
  function fit() {
    if (!board) return
    const height = board.clientWidth > NARROW ? `${Math.max(LEAST, room(board))}px` : 'auto'
    board.style.setProperty('--room', height)
  }

  // --- what is said when nobody answers; that the kernel is gone board.css says
  function say(text) {
    const gone = !!text || board.classList.contains('jupyter-widgets-disconnected')
    for (const part of board.children) part.inert = gone && !part.contains(el)
    board.classList.toggle('nvae-gone', gone)
    if (banner.textContent === text) return
    banner.textContent = text
    banner.hidden = !text
  }

  function watch() {
    const status = model.widget_manager?.kernel?.connectionStatus
    if (!board) return
    if (status === undefined || status === 'connected') lost = null
    else lost ??= Date.now()
    const gone = lost !== null && Date.now() - lost >= PATIENCE
    say(gone ? STOPPED : '')
  }

  // The frame stands in its board a moment after it is rendered
  function settle() {
    board = el.closest('.nvae-board')
    if (!board) return
    observer.observe(board.closest('.jp-WindowedPanel-outer') ?? document.documentElement)
    dress()
    fit()
    unname = nameControls(board)
    model.send({event: 'shown'})
  }

  const observer = new ResizeObserver(fit)
  const standing = setInterval(() => {
    settle()
    if (board) clearInterval(standing)
  }, 20)
  const watching = setInterval(watch, 500)
  window.addEventListener('resize', fit)
  const stopListening = listen(model, {'change:names': newTabs, 'change:value': dress})
  newTabs()
  return () => {
    clearInterval(standing)
    clearInterval(watching)
    unname()
    observer.disconnect()
    window.removeEventListener('resize', fit)
    stopListening()
  }
}

export default {render}

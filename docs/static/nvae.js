// What scrolls can be reached by the keyboard, and says what it is.
const kinds = {'.math': 'formula', '.table-wrapper': 'table', '.highlight pre, .sig': 'code'}
function reachable() {
  for (const [selector, what] of Object.entries(kinds))
    for (const e of document.querySelectorAll(selector)) {
      if (e.scrollWidth <= e.clientWidth && e.scrollHeight <= e.clientHeight) continue
      e.tabIndex = 0
      e.setAttribute('role', 'region')
      e.setAttribute('aria-label', what)
    }
}
addEventListener('load', reachable)
addEventListener('resize', reachable)

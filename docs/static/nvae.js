// What scrolls sideways can be reached by the keyboard.
function reachable() {
  for (const e of document.querySelectorAll('.highlight pre, .output pre, .table-wrapper, .math, .sig'))
    if (e.scrollWidth > e.clientWidth) { e.tabIndex = 0; e.setAttribute('role', 'region'); e.setAttribute('aria-label', e.matches('.math') ? 'formula' : e.matches('.table-wrapper') ? 'table' : 'code') }
    else e.removeAttribute('tabindex')
}
addEventListener('load', reachable)
addEventListener('resize', reachable)

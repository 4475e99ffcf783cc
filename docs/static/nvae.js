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

// Films move, unless its reader asked for less motion; a button stops it and lets it go on.
function letMove(picture) {
  const button = document.createElement('button')
  button.className = 'film-stop'
  const show = moves => {
    picture.classList.add('moves')
    picture.style.animationPlayState = moves ? 'running' : 'paused'
    button.textContent = moves ? 'Pause' : 'Play'
    button.setAttribute('aria-label', moves ? 'Pause the picture' : 'Play the picture')
  }
  button.onclick = () => show(picture.style.animationPlayState !== 'running')
  picture.after(button)
  show(!matchMedia('(prefers-reduced-motion: reduce)').matches)
}

// On a phone the comparison has no head; each cell says whose it is.
function sayWhose(table) {
  const heads = [...table.querySelectorAll('thead th')].map(e => e.textContent.trim())
  for (const row of table.querySelectorAll('tbody tr'))
    [...row.cells].forEach((cell, i) => { if (heads[i]) cell.dataset.of = heads[i] })
}
addEventListener('DOMContentLoaded', () => {
  document.querySelectorAll('img.film').forEach(letMove)
  document.querySelectorAll('table.stack, .stack table').forEach(sayWhose)
})

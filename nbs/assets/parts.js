// What the scripts of several widgets share: each of them begins with this.

function make(tag, name, props = {}, ...kids) {
  const element = Object.assign(document.createElement(tag), props)
  element.className = name
  element.append(...kids)
  return element
}

// Is somebody writing elsewhere on the page?
const typing = () => document.activeElement?.matches('input, select, textarea, [contenteditable=true]')

const wantsCalm = () => matchMedia('(prefers-reduced-motion: reduce)').matches

// Show the i-th of n images that stand in one picture, in rows of so many columns
function showPart(element, address, i, n, columns) {
  const rows = Math.ceil(n / columns)
  const share = (k, of) => of > 1 ? 100 * k / (of - 1) : 0
  const {style} = element
  style.backgroundImage = address ? `url(${address})` : ''
  style.backgroundSize = `${100 * columns}% ${100 * rows}%`
  style.backgroundPosition = `${share(i % columns, columns)}% ${share(Math.floor(i / columns), rows)}%`
}

// The address of a picture, once it is decoded: whoever shows it then doesn't flicker
async function decoded(bytes) {
  const address = URL.createObjectURL(new Blob([bytes]))
  const probe = new Image()
  probe.src = address
  if (bytes.byteLength) await probe.decode().catch(() => {})
  return address
}

// Forget a picture's address, once nothing shows it any more
function forget(address) {
  if (address) setTimeout(() => URL.revokeObjectURL(address), 1000)
}

// Answer events of a model, by name; returns what ends that
function listen(model, answers) {
  for (const [event, answer] of Object.entries(answers)) model.on(event, answer)
  return () => { for (const [event, answer] of Object.entries(answers)) model.off(event, answer) }
}

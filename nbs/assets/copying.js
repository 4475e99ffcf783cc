// Text with a button that copies it, and a button that hands over files: the page's side of Copyable and Download.

const SAID = 2000 // ms that "copied" is to be read

// Where the browser has no clipboard (a page not served by this machine, without TLS), a text is marked and copied
async function copy(text) {
  if (navigator.clipboard) {
    const done = await navigator.clipboard.writeText(text).then(() => true, () => false)
    if (done) return true
  }
  const box = make('textarea', '', {value: text, readOnly: true})
  document.body.append(box)
  box.select()
  const done = document.execCommand('copy')
  box.remove()
  return done
}

function copyable(model, el) {
  const text = make('pre', 'nvae-quote', {tabIndex: 0})
  const button = make('button', 'nvae-copy', {type: 'button', textContent: 'Copy'})
  const said = make('span', 'nvae-copied')
  let timer
  text.setAttribute('role', 'region')
  said.setAttribute('role', 'status')
  el.append(text, button, said)

  function dress() {
    text.textContent = model.get('text')
    text.hidden = !model.get('shown')
    text.setAttribute('aria-label', model.get('name'))
    button.title = `Copy ${model.get('name')}`
    button.setAttribute('aria-label', button.title)
    el.hidden = !model.get('text')
    said.textContent = ''
  }

  button.onclick = async () => {
    const done = await copy(model.get('text'))
    button.focus()
    said.textContent = done ? 'copied' : 'the browser allows no copying: mark the text'
    clearTimeout(timer)
    timer = setTimeout(() => { said.textContent = '' }, SAID)
  }
  model.on('change', dress)
  dress()
}

function download(model, el) {
  const button = make('button', 'nvae-download', {type: 'button'})
  el.append(button)

  function dress() {
    button.textContent = model.get('text')
    button.title = model.get('about')
  }

  // Python makes the files when they are asked for; a link that is pressed at once puts them where downloads go
  function hand(content, buffers) {
    const address = URL.createObjectURL(new Blob([buffers[0]], {type: content.kind}))
    make('a', '', {href: address, download: content.name}).click()
    setTimeout(() => URL.revokeObjectURL(address), 10_000)
  }

  button.onclick = () => model.send({event: 'ask'})
  model.on('change', dress)
  model.on('msg:custom', hand)
  dress()
  return () => model.off('msg:custom', hand)
}

function render({model, el}) {
  el.classList.add('nvae-copying')
  el.dataset.lmSuppressShortcuts = 'true'
  el.onkeydown = e => e.stopPropagation()
  return model.get('kind') === 'download' ? download(model, el) : copyable(model, el)
}

export default {render}

// An image to paint on: the page's side of Brush. A stroke is [radius, x, y, x, y, …] in shares of the image's width
// and height; while one is being drawn it lives here, and goes to Python when it is done.

const STEP = .02 // of an arrow key, in shares of the image; five times that with Shift
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}
const FINE = 1000 // parts of the width that a stroke is rounded to

const rounded = number => Math.round(FINE * Math.max(0, Math.min(1, number))) / FINE

function render({model, el}) {
  const get = name => model.get(name)
  let drawing = null  // the stroke under the hand
  let at = [.5, .5]   // where the keys are
  let address = null  // of the picture

  const picture = make('img', 'nvae-painted', {alt: '', draggable: false})
  const about = 'image to paint on: arrow keys move the brush, space paints'
  const canvas = make('canvas', 'nvae-canvas', {tabIndex: 0, ariaLabel: about})
  const cursor = make('span', 'nvae-cursor', {hidden: true})
  const paper = make('div', 'nvae-paper', {}, picture, canvas, cursor)
  const size = make('input', '', {type: 'range', min: .01, max: .3, step: .01, ariaLabel: 'size of the brush'})
  const takesBack = {type: 'button', textContent: 'Undo', title: 'take the last stroke back'}
  const undo = make('button', 'jupyter-button', takesBack)
  const clear = make('button', 'jupyter-button', {type: 'button', textContent: 'Clear', title: 'take all strokes back'})
  const tools = make('div', 'nvae-tools', {}, make('label', '', {}, 'brush', size), undo, clear)
  canvas.setAttribute('role', 'application')
  el.classList.add('nvae-brush')
  el.dataset.lmSuppressShortcuts = 'true'
  el.append(paper, tools)

  function put(strokes) {
    model.set('value', strokes)
    model.save_changes()
    dress()
  }

  // --- the paper
  function paint(context, [radius, ...points]) {
    const {width, height} = canvas
    context.lineWidth = 2 * radius * width
    context.beginPath()
    for (let k = 0; k < points.length; k += 2) context.lineTo(points[k] * width, points[k + 1] * height)
    if (points.length === 2) context.lineTo(points[0] * width + .01, points[1] * height)
    context.stroke()
  }

  function dress() {
    const strokes = get('value')
    const context = canvas.getContext('2d')
    canvas.width = canvas.clientWidth || 1
    canvas.height = canvas.clientHeight || 1
    const strokeStyle = getComputedStyle(el).getPropertyValue('--mask')
    Object.assign(context, {lineCap: 'round', lineJoin: 'round', strokeStyle})
    for (const stroke of strokes) paint(context, stroke)
    if (drawing) paint(context, drawing)
    undo.disabled = clear.disabled = !strokes.length
    size.value = get('radius')
    size.setAttribute('aria-valuetext', `${Math.round(100 * get('radius'))} % of the width`)
    cursor.style.left = `${100 * at[0]}%`
    cursor.style.top = `${100 * at[1]}%`
    cursor.style.width = `${200 * get('radius')}%`
  }

  // As large as the box, whatever its proportions
  function fit() {
    const room = el.getBoundingClientRect()
    const high = Math.max(80, room.height - tools.offsetHeight - 12)
    const bound = getComputedStyle(el).getPropertyValue('--fit').trim() === 'both' ? high * get('aspect') : Infinity
    paper.style.width = `${Math.floor(Math.min(room.width - 4, bound))}px`
    paper.style.aspectRatio = get('aspect')
    dress()
  }

  function show() {
    const bytes = get('image')
    paper.hidden = !bytes.byteLength
    if (!bytes.byteLength) return
    const old = address
    address = URL.createObjectURL(new Blob([bytes]))
    picture.src = address
    forget(old)
    fit()
  }

  // --- hands
  function place(e) {
    const frame = canvas.getBoundingClientRect()
    return [rounded((e.clientX - frame.left) / frame.width), rounded((e.clientY - frame.top) / frame.height)]
  }

  canvas.onpointerdown = e => {
    canvas.setPointerCapture(e.pointerId)
    cursor.hidden = true
    drawing = [get('radius'), ...place(e)]
    dress()
  }
  canvas.onpointermove = e => {
    if (!drawing) return
    drawing.push(...place(e))
    dress()
  }
  canvas.onpointerup = () => {
    if (!drawing) return
    const stroke = drawing
    drawing = null
    put([...get('value'), stroke])
  }
  canvas.onpointercancel = () => {
    drawing = null
    dress()
  }
  canvas.ondragstart = e => e.preventDefault()
  canvas.onfocus = () => { cursor.hidden = !canvas.matches(':focus-visible') }
  canvas.onblur = () => { cursor.hidden = true }
  canvas.onkeydown = e => {
    const arrow = ARROWS[e.key]
    if (arrow) {
      const step = e.shiftKey ? 5 * STEP : STEP
      at = at.map((where, k) => rounded(where + step * arrow[k]))
      cursor.hidden = false
      dress()
    } else if (e.key === ' ' || e.key === 'Enter') put([...get('value'), [get('radius'), ...at]])
    else if (e.key === 'Backspace' || e.key === 'Delete') put(get('value').slice(0, -1))
    else return
    e.preventDefault()
  }
  el.onkeydown = e => e.stopPropagation()
  size.oninput = () => {
    model.set('radius', +size.value)
    model.save_changes()
    dress()
  }
  undo.onclick = () => put(get('value').slice(0, -1))
  clear.onclick = () => put([])

  const observer = new ResizeObserver(fit)
  observer.observe(el)
  const stopListening = listen(model, {'change:image change:aspect': show, 'change:value change:radius': dress})
  show()
  return () => {
    observer.disconnect()
    stopListening()
    if (address) URL.revokeObjectURL(address)
  }
}

export default {render}

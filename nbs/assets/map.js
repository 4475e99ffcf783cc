// Images as a map: the page's side of ImageMap. A click opens an image; what a lasso encloses goes to one of two hands.

const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}
const NEAR = 4 // pixels up to which a press is a click, not a lasso
const HANDS = ['these', 'those']

// Is a point inside a polygon? Counts the edges that lie to its right
function inside([x, y], polygon) {
  let within = false
  polygon.forEach(([x1, y1], k) => {
    const [x2, y2] = polygon[(k + 1) % polygon.length]
    if ((y1 > y) !== (y2 > y) && x < x1 + (x2 - x1) * (y - y1) / (y2 - y1)) within = !within
  })
  return within
}

function render({model, el}) {
  const get = name => model.get(name)
  let thumbs = []
  let at = 0          // the thumbnail that has the focus, or had it last
  let hand = 0        // to which the lasso adds
  let lasso = []      // points of the page's pixels inside the plane
  let address = null

  const plane = make('div', 'nvae-map-plane')
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'polygon')
  const toggles = HANDS.map((name, k) => make('button', 'jupyter-button', {type: 'button', textContent: name,
    title: `a lasso, or the key ${k + 1}, puts images among ${name}`, onclick: () => take(k)}))
  const clear = make('button', 'jupyter-button', {type: 'button', textContent: 'Clear', title: 'both hands empty'})
  const said = make('span', 'nvae-hands', {})
  const tools = make('div', 'nvae-tools', {role: 'group', ariaLabel: 'lasso'}, 'lasso:', ...toggles, clear, said)
  said.setAttribute('role', 'status')
  svg.setAttribute('class', 'nvae-lasso')
  svg.setAttribute('aria-hidden', 'true')
  svg.append(line)
  plane.setAttribute('role', 'group')
  el.classList.add('nvae-map')
  el.dataset.lmSuppressShortcuts = 'true'
  el.append(tools, plane)

  const hands = () => HANDS.map(name => get('value')[name] ?? [])

  function put(both) {
    model.set('value', Object.fromEntries(HANDS.map((name, k) => [name, both[k]])))
    model.save_changes()
    dress()
  }

  function take(k) {
    hand = k
    dress()
  }

  // An image is in one hand at most; what is in it already is let go where `toggle` says so
  function add(indices, k, toggle = false) {
    const before = hands()
    const lets = toggle && indices.every(i => before[k].includes(i))
    const others = before.map(some => some.filter(i => !indices.includes(i)))
    if (!lets) others[k] = [...before[k].filter(i => !indices.includes(i)), ...indices].sort((a, b) => a - b)
    put(others)
  }

  // --- thumbnails: parts of one picture
  function newThumb(i) {
    const thumb = make('button', 'nvae-thumb', {type: 'button', tabIndex: i === at ? 0 : -1})
    thumb.onfocus = () => { at = i }
    thumb.onclick = e => { if (e.detail === 0) open(i) } // by a key; the pointer's clicks are told from lassos
    return thumb
  }

  const open = i => model.send({event: 'open', index: i})

  function build() {
    const places = get('places')
    at = Math.max(0, Math.min(at, places.length - 1))
    thumbs = places.map((_, i) => newThumb(i))
    places.forEach(([x, y], i) => {
      const {style} = thumbs[i]
      style.left = `${100 * x}%`
      style.top = `${100 * (1 - y)}%`
      style.aspectRatio = get('aspect')
      showPart(thumbs[i], address, i, places.length, get('columns'))
    })
    plane.replaceChildren(...thumbs, svg)
    dress()
  }

  function dress() {
    const [these, those] = hands()
    toggles.forEach((button, k) => {
      button.setAttribute('aria-pressed', k === hand)
      button.classList.toggle('mod-active', k === hand)
    })
    thumbs.forEach((thumb, i) => {
      const inHand = these.includes(i) ? 'these' : those.includes(i) ? 'those' : ''
      thumb.dataset.hand = inHand
      thumb.setAttribute('aria-label', get('labels')[i] + (inHand && `, among ${inHand}`))
    })
    plane.setAttribute('aria-label', get('caption'))
    said.textContent = `${these.length} these, ${those.length} those`
    clear.disabled = !these.length && !those.length
  }

  function show() {
    const bytes = get('image')
    if (!bytes.byteLength) return plane.replaceChildren()
    const old = address
    address = URL.createObjectURL(new Blob([bytes]))
    build()
    el.dataset.serial = get('serial')
    forget(old)
  }

  // --- hands
  function point(e) {
    const frame = plane.getBoundingClientRect()
    return [e.clientX - frame.left, e.clientY - frame.top]
  }

  const isLasso = () => lasso.length > 2 && lasso.some(([x, y]) => Math.hypot(x - lasso[0][0], y - lasso[0][1]) > NEAR)

  function enclosed() {
    const {width, height} = plane.getBoundingClientRect()
    const indices = []
    get('places').forEach(([x, y], i) => { if (inside([x * width, (1 - y) * height], lasso)) indices.push(i) })
    return indices
  }

  plane.onpointerdown = e => {
    plane.setPointerCapture(e.pointerId)
    lasso = [point(e)]
  }
  plane.onpointermove = e => {
    if (!lasso.length) return
    lasso.push(point(e))
    line.setAttribute('points', lasso.map(p => p.join()).join(' '))
  }
  plane.onpointerup = e => {
    const many = isLasso() ? enclosed() : null
    lasso = []
    line.setAttribute('points', '')
    if (many) return many.length && add(many, hand)
    const under = document.elementsFromPoint(e.clientX, e.clientY).find(element => thumbs.includes(element))
    if (!under) return
    under.focus()
    open(thumbs.indexOf(under))
  }
  plane.onpointercancel = () => {
    lasso = []
    line.setAttribute('points', '')
  }
  plane.ondragstart = e => e.preventDefault() // else text that is marked elsewhere is dragged instead
  clear.onclick = () => put([[], []])

  // The nearest thumbnail in the direction of an arrow
  function next(arrow) {
    const places = get('places')
    const [x, y] = places[at]
    let best = at
    let least = Infinity
    places.forEach(([x2, y2], i) => {
      const along = (x2 - x) * arrow[0] - (y2 - y) * arrow[1]
      const beside = Math.abs((x2 - x) * arrow[1]) + Math.abs((y2 - y) * arrow[0])
      if (i === at || along <= 0 || along + 2 * beside >= least) return
      best = i
      least = along + 2 * beside
    })
    return best
  }

  el.onkeydown = e => {
    e.stopPropagation()
    if (!thumbs.includes(e.target)) return
    const arrow = ARROWS[e.key]
    if (arrow) {
      const to = next(arrow)
      thumbs.forEach((thumb, i) => { thumb.tabIndex = i === to ? 0 : -1 })
      thumbs[to].focus()
    } else if (e.key === '1' || e.key === '2') add([at], +e.key - 1, true)
    else return
    e.preventDefault()
  }

  const stopListening = listen(model, {'change:serial': show, 'change:value': dress})
  show()
  return () => {
    stopListening()
    if (address) URL.revokeObjectURL(address)
  }
}

export default {render}

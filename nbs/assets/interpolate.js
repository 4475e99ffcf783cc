// The way from A to B: a slider whose image is here already, a film that can be stopped, and the four ways as strips to
// choose from. The page's side of Way; frames are parts of one picture, so that the slider needs no word from Python.

const SMOOTH = 40     // ms between two frames of the film
const CALM = 1000     // ms between two steps, for people who want no motion
let groups = 0        // of radio buttons, so far

function render({model, el}) {
  const get = name => model.get(name)
  const data = el.dataset
  const group = `nvae-strips-${++groups}`
  let address = null    // of the frames
  let strips = []       // {label, radio, pic, address}
  let asked = 0         // how many pictures were asked for
  let timer = null
  let towards = 1       // the film goes to B, or back

  const large = make('div', 'nvae-large', {role: 'img'})
  const room = make('div', 'nvae-large-room', {}, large)
  const slider = make('input', 'nvae-steer', {type: 'range', min: 0, max: 1})
  const play = make('button', 'nvae-key nvae-run', {type: 'button', onclick: () => put('playing', !get('playing'))})
  const end = make('span', 'nvae-end')
  const ends = make('div', 'nvae-play', {}, play, make('b', '', {textContent: 'A'}), slider, end)
  const ways = make('div', 'nvae-strips', {role: 'radiogroup', ariaLabel: 'the way from A to B'})
  slider.setAttribute('aria-label', 'position from A to B')
  el.classList.add('nvae-way')
  el.setAttribute('role', 'group')
  data.lmSuppressShortcuts = 'true'
  data.serial = 0
  el.append(room, ends, ways)

  function put(name, value) {
    model.set(name, value)
    model.save_changes()
  }

  // --- the image at a position
  const frame = () => Math.round(get('value') * Math.max(0, get('n') - 1))

  function place() {
    const n = get('n')
    const k = frame()
    showPart(large, n && address, k, n, get('columns'))
    const where = `${get('value').toFixed(2)} of the way from A to B`
    large.setAttribute('aria-label', where)
    slider.step = n > 1 ? 1 / (n - 1) : 1
    slider.value = get('value')
    slider.setAttribute('aria-valuetext', where)
    data.frame = k
  }

  // As large as the room allows, in the image's shape
  function fit() {
    room.style.maxHeight = `${room.clientWidth / get('aspect')}px`
    const width = Math.min(room.clientWidth, room.clientHeight * get('aspect'))
    large.style.width = `${width}px`
    large.style.height = `${width / get('aspect')}px`
  }

  // --- the four ways
  function choose(k) {
    model.set('way', k)
    model.send({event: 'choose', index: k, serial: +data.serial})
  }

  function newStrips() {
    strips = get('strips').map((_, k) => {
      const radio = make('input', '', {type: 'radio', name: group, onchange: () => choose(k)})
      const name = make('span', 'nvae-strip-name')
      const pic = make('span', 'nvae-strip-pic')
      return {radio, name, pic, address: null, label: make('label', 'nvae-strip', {}, radio, name, pic)}
    })
    ways.replaceChildren(...strips.map(strip => strip.label))
  }

  function dressStrips() {
    const all = get('strips')
    if (strips.length !== all.length) newStrips()
    all.forEach((strip, k) => {
      const {radio, name, pic, label} = strips[k]
      radio.checked = k === get('way')
      label.classList.toggle('nvae-chosen', radio.checked)
      label.title = strip.about
      name.replaceChildren(strip.name)
      if (!get('reached')) name.append(' ', make('em', 'nvae-unreached', {textContent: 'B not reached'}))
      pic.style.aspectRatio = `${strip.n * get('aspect')}`
      if (strip.digest === strips[k].digest) return
      const old = strips[k].address
      strips[k].digest = strip.digest
      strips[k].address = strip.image.byteLength ? URL.createObjectURL(new Blob([strip.image])) : null
      pic.style.backgroundImage = strips[k].address ? `url(${strips[k].address})` : ''
      forget(old)
    })
    const reached = get('reached')
    end.replaceChildren(make(reached ? 'b' : 'em', reached ? '' : 'nvae-unreached',
                             {textContent: reached ? 'B' : 'B not reached'}))
    end.title = reached ? '' : "what doesn't move stays A's"
  }

  // Frames are shown once they are decoded, and only if no others were asked for meanwhile
  async function show() {
    if (get('serial') === +data.serial) return
    const mine = ++asked
    const serial = get('serial')
    const next = await decoded(get('image'))
    if (mine !== asked) return URL.revokeObjectURL(next)
    const old = address
    address = next
    el.setAttribute('aria-label', get('caption'))
    fit()
    place()
    dressStrips()
    data.serial = serial
    forget(old)
  }

  // --- the film: to B and back, until somebody stops it
  function next() {
    const by = wantsCalm() ? 1 / Math.max(1, (get('strips')[get('way')]?.n || 2) - 1) : 1 / Math.max(1, get('n') - 1)
    const value = get('value')
    if (value >= 1) towards = -1
    if (value <= 0) towards = 1
    model.set('value', Math.max(0, Math.min(1, value + towards * by)))
  }

  function dressPlay() {
    const plays = get('playing')
    play.textContent = plays ? 'Pause' : 'Play'
    play.setAttribute('aria-label', plays ? 'pause the film' : 'play the film from A to B and back')
    play.setAttribute('aria-pressed', plays)
    clearInterval(timer)
    timer = plays ? setInterval(next, wantsCalm() ? CALM : SMOOTH) : null
    if (!plays) model.save_changes() // where the film stopped
  }

  // --- hands
  slider.oninput = () => {
    if (get('playing')) model.set('playing', false)
    put('value', +slider.value)
  }
  el.onkeydown = e => {
    e.stopPropagation()
    const name = get('hotkeys')[e.key]
    if (!name || e.ctrlKey || e.metaKey || e.altKey) return
    e.preventDefault()
    model.send({event: name, serial: +data.serial})
  }

  const resized = new ResizeObserver(fit)
  resized.observe(room)
  const answers = {change: show, 'change:value': place, 'change:way': dressStrips, 'change:playing': dressPlay}
  const stopListening = listen(model, answers)
  dressPlay()
  show()
  return () => {
    clearInterval(timer)
    resized.disconnect()
    stopListening()
    for (const url of [address, ...strips.map(strip => strip.address)]) if (url) URL.revokeObjectURL(url)
  }
}

export default {render}

// One image's way through the network: the two towers, whose boxes lead to their steps, the pictures of a step, and one
// row of controls. The page's side of Stage: every step is here already, so that moving on needs no word from Python.

const SVG = 'http://www.w3.org/2000/svg'
const PLACES = {
  image: 'the image', decoded: 'decoded so far', where: 'KL, where',
  features: 'feature map', state: 'top-down state', prior: 'prior’s mean', posterior: 'posterior’s mean',
}
const ACROSS = {left: .17, middle: .38, right: .59} // where the towers and the latents stand, in shares of the width
const BARS = .77
const WORDS = {bottom_up: '', top_down: '', pre: 'pre ↓2', post: 'post ↑2'}
const SIDES = Object.keys(ACROSS)
const SPEEDS = {'½×': 3000, '1×': 1500, '2×': 750, '4×': 375} // ms that a step is shown

function draw(tag, name, props = {}, text = '') {
  const element = document.createElementNS(SVG, tag)
  element.setAttribute('class', name)
  for (const [key, value] of Object.entries(props)) element.setAttribute(key, value)
  element.textContent = text
  return element
}

function key(text, label, act) {
  const button = make('button', 'nvae-key', {type: 'button', textContent: text, title: label, onclick: act})
  button.setAttribute('aria-label', label)
  return button
}

function render({model, el}) {
  const get = name => model.get(name)
  const data = el.dataset
  let way = {steps: [], storeys: [], nats: [], pictures: []} // what is shown
  let addresses = []           // of its pictures
  let boxes = []               // {row, side, step, button}
  let timer = null
  let waits = get('autofocus') // is the focus still to be taken?

  // --- what is on the page
  const told = make('p', 'nvae-told', {ariaLive: 'polite'})
  const svg = draw('svg', 'nvae-drawing', {'aria-hidden': true})
  const buttons = make('div', 'nvae-boxes', {role: 'group', ariaLabel: 'the towers: each box leads to its step'})
  const towers = make('div', 'nvae-towers', {}, svg, buttons)
  const figures = Object.entries(PLACES).map(([name, text]) => {
    const figure = make('figure', `nvae-view nvae-view-${name}`, {}, make('img', '', {alt: text}),
                        make('figcaption', '', {textContent: text}))
    return [name, figure]
  })
  const legend = make('p', 'nvae-legend', {textContent: 'in maps: blue below zero, orange above'})
  const views = make('div', 'nvae-views', {}, ...figures.map(([, figure]) => figure), legend)
  const slider = make('input', 'nvae-steer', {type: 'range', min: 0, step: 1})
  const count = make('span', 'nvae-count', {ariaHidden: true})
  const play = key('Play', '', () => put('playing', !get('playing')))
  const speed = make('select', 'nvae-key nvae-speed', {title: 'speed of playing', ariaLabel: 'speed of playing'},
                     ...Object.entries(SPEEDS).map(([text, ms]) => make('option', '', {textContent: text, value: ms})))
  const present = key('Present', 'fill the screen; Escape leaves', toPresent)
  const keys = make('div', 'nvae-play', {role: 'group', ariaLabel: 'playing'},
                    key('|◂', 'the first step (Home)', () => go(0)),
                    key('◂', 'the step before (←)', () => go(at() - 1)),
                    play, key('▸', 'the next step (→)', () => go(at() + 1)),
                    key('▸|', 'the last step (End)', () => go(last())), speed, slider, count, present)
  slider.setAttribute('aria-label', 'step')
  present.classList.add('nvae-present')
  play.classList.add('nvae-run')
  el.classList.add('nvae-steps')
  el.setAttribute('role', 'group')
  data.lmSuppressShortcuts = 'true'
  data.serial = 0
  el.append(told, make('div', 'nvae-scene', {}, towers, views), keys)

  // --- steps
  const last = () => Math.max(0, way.steps.length - 1)
  const at = () => Math.min(get('value'), last())

  function put(name, value) {
    model.set(name, value)
    model.save_changes()
  }

  function go(step) {
    const next = Math.max(0, Math.min(last(), step))
    if (next !== get('value')) put('value', next)
  }

  const HERE = {
    onward: () => go(at() + 1), backward: () => go(at() - 1), first: () => go(0), last: () => go(last()),
  }

  // --- the drawing of the towers; its unit is a pixel, so that letters keep their size
  function half(level, width) { return width * .15 * Math.max(.45, 1 - .13 * level) }

  function drawTowers() {
    const width = towers.clientWidth
    const height = towers.clientHeight
    const n = way.storeys.length + 1 // and a heading
    if (!width || n === 1) return
    const step = way.steps[at()]
    const lit = new Set(step.lit.map(([row, side]) => `${row} ${side}`))
    const tall = height / n
    const font = parseFloat(getComputedStyle(towers).fontSize)
    const every = Math.max(1, Math.ceil(1.15 * font / tall)) // rows that share one label, where there are many
    const middle = row => height - (row + .5) * tall
    const across = side => ACROSS[side] * width
    const parts = []
    const add = (...args) => parts.push(draw(...args))
    const isLit = (row, side) => lit.has(`${row} ${side}`)
    const rowLit = row => SIDES.some(side => isLit(row, side))
    const labelled = row => every === 1 || rowLit(row) || (row % every === 0 &&
      !way.storeys.some((_, other) => rowLit(other) && Math.abs(other - row) < every))
    const style = (name, on) => on ? `${name} nvae-lit` : name
    const write = (x, row, text, name = '', anchor = 'middle') =>
      add('text', name, {x, y: middle(row), 'text-anchor': anchor, dy: '.35em'}, text)

    svg.setAttribute('viewBox', `0 0 ${width} ${height}`)
    for (const side of ['left', 'right']) {
      const here = way.storeys.flatMap((storey, row) => storey[side] ? [row] : [])
      const ends = {y1: middle(here[0]), y2: middle(here.at(-1))}
      add('line', 'nvae-flow', {x1: across(side), x2: across(side), ...ends})
    }
    way.storeys.forEach((storey, row) => {
      const y = middle(row)
      const w = half(storey.level, width)
      const round = Math.min(.46 * tall, .8 * font)
      if (storey.group !== null) {
        const ends = (from, to, dy) => ({x1: from, x2: to, y1: y + dy, y2: y + dy})
        const [first, second, third] = ['left', 'middle', 'right'].map(across)
        const [a, b, c, d] = [first + w, second - round, second + round, third - w]
        add('line', style('nvae-posterior', isLit(row, 'left') && isLit(row, 'middle')), ends(a, b, 0))
        add('line', style('nvae-prior', isLit(row, 'middle')), ends(c, d, -.17 * tall))
        add('line', style('nvae-z', isLit(row, 'left') && isLit(row, 'middle')), ends(c, d, .17 * tall))
        add('circle', style('nvae-part nvae-latent', isLit(row, 'middle')), {cx: across('middle'), cy: y, r: round})
        if (labelled(row)) write(across('middle'), row, storey.group, style('nvae-group-number', isLit(row, 'middle')))
      }
      for (const side of ['left', 'right']) {
        const name = storey[side]
        if (!name) continue
        const box = {x: across(side) - w, y: y - .4 * tall, width: 2 * w, height: .8 * tall, rx: Math.min(5, .3 * tall)}
        add('rect', style(`nvae-part nvae-${side}`, isLit(row, side)), box)
        if (labelled(row)) write(across(side), row, WORDS[name] || (name in WORDS ? storey.size : name),
                                 style('nvae-word', isLit(row, side)))
      }
    })
    drawBars({step, width, tall, middle, labelled, add, write})
    const top = way.storeys.length
    write(across('left'), top, 'bottom-up ↑')
    write(across('middle'), top, 'z')
    write(across('right'), top, 'top-down ↓')
    svg.replaceChildren(...parts)
  }

  // One bar per group, in its storey, with its nats behind it; those not known yet are only places
  function drawBars({step, width, tall, middle, labelled, add, write}) {
    const most = Math.max(...way.nats, 1e-9)
    const start = BARS * width
    const room = Math.max(8, width - start - 4.2 * parseFloat(getComputedStyle(towers).fontSize) * .62)
    way.storeys.forEach((storey, row) => {
      if (storey.group === null) return
      const nats = way.nats[storey.group]
      const known = storey.group < step.known
      const long = known ? Math.max(1, room * nats / most) : 2
      const look = `nvae-bar nvae-scale-${storey.scale % 6}${known ? '' : ' nvae-unknown'}`
      add('rect', look, {x: start, y: middle(row) - .3 * tall, width: long, height: .6 * tall})
      if (known && labelled(row)) write(start + long + 4, row, nats.toFixed(1), 'nvae-nats', 'start')
    })
    const sum = way.nats.slice(0, step.known).reduce((a, b) => a + b, 0)
    write(start, way.storeys.length, 'KL, nats', '', 'start')
    if (step.known) write(start, 0, `Σ ${sum.toFixed(1)}`, 'nvae-nats', 'start')
  }

  // --- buttons over the boxes
  function newButtons() {
    const had = buttons.contains(document.activeElement)
    boxes = []
    way.storeys.forEach((storey, row) => {
      for (const [side, step] of Object.entries(storey.opens)) {
        const label = `${way.steps[step].title}, step ${step + 1}`
        const button = make('button', 'nvae-box-key', {type: 'button', title: way.steps[step].title, tabIndex: -1})
        button.setAttribute('aria-label', label)
        button.onclick = () => go(step)
        boxes.push({row, side, step, button})
      }
    })
    boxes.reverse()
    buttons.replaceChildren(...boxes.map(box => box.button))
    placeButtons()
    if (had) current()?.focus()
  }

  function placeButtons() {
    const width = towers.clientWidth
    const tall = towers.clientHeight / (way.storeys.length + 1)
    for (const {row, side, button} of boxes) {
      const w = side === 'middle' ? Math.min(.06 * width, tall) : half(way.storeys[row].level, width)
      const left = ACROSS[side] * width - w
      const top = towers.clientHeight - (row + 1) * tall
      const place = {left, top, width: 2 * w, height: tall}
      for (const [name, value] of Object.entries(place)) button.style[name] = `${value}px`
    }
  }

  const current = () => boxes.find(box => box.step === at())?.button

  // --- a step
  function dress() {
    if (!way.steps.length) return
    const k = at()
    const step = way.steps[k]
    const lit = new Set(step.lit.map(([row, side]) => `${row} ${side}`))
    const focused = boxes.some(box => box.button === document.activeElement)
    drawTowers()
    for (const {row, side, step: own, button} of boxes) {
      button.tabIndex = -1
      button.setAttribute('aria-pressed', lit.has(`${row} ${side}`))
      if (own === k) button.setAttribute('aria-current', 'step')
      else button.removeAttribute('aria-current')
    }
    const here = current() || boxes[0]?.button
    if (here) here.tabIndex = 0
    if (focused) here?.focus()
    for (const [name, figure] of figures) {
      const picture = step.pictures[name]
      figure.classList.toggle('nvae-absent', picture === undefined)
      if (picture !== undefined) figure.firstChild.src = addresses[picture]
      else figure.firstChild.removeAttribute('src')
    }
    const maps = Object.keys(step.pictures).some(name => !['image', 'decoded'].includes(name))
    legend.classList.toggle('nvae-absent', !maps)
    told.replaceChildren(make('b', '', {textContent: step.title}), ` ${step.text}`)
    count.textContent = `${k + 1} of ${way.steps.length}`
    slider.max = last()
    slider.value = k
    slider.setAttribute('aria-valuetext', `${k + 1} of ${way.steps.length}, ${step.title}`)
    data.step = k
  }

  function show() {
    if (get('serial') === +data.serial) return
    const old = addresses
    way = get('way')
    addresses = way.pictures.map(bytes => URL.createObjectURL(new Blob([bytes], {type: 'image/png'})))
    el.setAttribute('aria-label', get('caption'))
    newButtons()
    dress()
    data.serial = get('serial')
    old.forEach(forget)
    if (waits && way.steps.length) {
      waits = false
      if (!typing()) slider.focus({preventScroll: true})
    }
  }

  // --- playing: stops at the end, and when somebody takes a step
  function dressPlay() {
    const plays = get('playing')
    play.textContent = plays ? 'Pause' : 'Play'
    play.title = plays ? 'pause' : 'play from here'
    play.setAttribute('aria-label', play.title)
    play.setAttribute('aria-pressed', plays)
    setPace()
    if (plays && way.steps.length && at() === last()) go(0)
  }

  function setPace() {
    speed.value = get('ms')
    clearInterval(timer)
    timer = get('playing') ? setInterval(playOn, get('ms')) : null
  }

  function playOn() {
    if (at() < last()) go(at() + 1)
    else put('playing', false)
  }

  // --- the whole screen; where the browser doesn't give it, the whole window
  const presented = () => el.classList.contains('nvae-presented')

  function dressPresent(on) {
    el.classList.toggle('nvae-presented', on)
    present.textContent = on ? 'Leave' : 'Present'
    present.title = on ? 'back to the board (Escape)' : 'fill the screen; Escape leaves'
    present.setAttribute('aria-label', on ? 'Leave the whole screen' : 'Present: fill the screen')
    present.setAttribute('aria-pressed', on)
  }

  async function toPresent() {
    if (presented()) return leave()
    dressPresent(true)
    await el.requestFullscreen?.().catch(() => {})
    slider.focus({preventScroll: true})
  }

  function leave() {
    dressPresent(false)
    if (document.fullscreenElement === el) document.exitFullscreen()
    present.focus({preventScroll: true})
  }

  const screenChanged = () => { if (!document.fullscreenElement && presented()) leave() }

  // --- keys
  slider.oninput = () => go(+slider.value)
  speed.onchange = () => put('ms', +speed.value)
  views.onclick = () => {
    HERE.onward()
    slider.focus({preventScroll: true}) // for the arrow keys
  }
  el.onkeydown = e => {
    e.stopPropagation()
    if (e.ctrlKey || e.metaKey || e.altKey) return
    const name = get('hotkeys')[e.key]
    const leaves = e.key === 'Escape' && presented()
    if (!name && !leaves) return
    e.preventDefault()
    if (leaves) leave()
    else if (HERE[name]) HERE[name]()
    else model.send({event: name, serial: +data.serial})
  }

  const resized = new ResizeObserver(() => {
    placeButtons()
    if (way.steps.length) drawTowers()
  })
  resized.observe(towers)
  document.addEventListener('fullscreenchange', screenChanged)
  const answers = {change: show, 'change:value': dress, 'change:playing': dressPlay, 'change:ms': setPace}
  const stopListening = listen(model, answers)
  dressPresent(false)
  dressPlay()
  show()
  return () => {
    clearInterval(timer)
    resized.disconnect()
    document.removeEventListener('fullscreenchange', screenChanged)
    stopListening()
    addresses.forEach(address => URL.revokeObjectURL(address))
  }
}

export default {render}

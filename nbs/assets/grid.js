// A grid of images that can be clicked, picked by keys, looked at closely and put in order.
// The page's side of ImageGrid: its traits are read with `get`; what one does goes to Python as {event, serial, …}.

const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}
const DIGITS = '123456789'
const EDGE = 6   // pixels between the tiles and the edge
const GAP = 6    // between tiles
const LEAST = 24 // that a tile is wide
const SIDES = ['left', 'top', 'width', 'height']

function render({model, el}) {
  const get = name => model.get(name)
  const data = el.dataset
  let tiles = []
  let at = 0                   // the tile that has the focus, or had it last
  let seen = 0                 // the one that is looked at closely
  let from = -1                // the one that is being dragged; -1: none
  let asked = 0                // how many pictures were asked for
  let address = null           // of the picture that is shown
  let waits = get('autofocus') // is the focus still to be taken?
  let film = null              // what plays in a tile: {address, bytes, timer}

  const body = make('div', 'nvae-tiles', {role: 'group'})
  const zoomed = make('div', 'nvae-pic')
  const title = make('p', '')
  const close = make('button', '', {textContent: 'Close', type: 'button'})
  const zoom = make('dialog', 'nvae-zoom', {}, zoomed, title)
  const chooser = make('input', '', {type: 'file', accept: 'image/*'})
  const hint = make('span', '')
  const drop = make('label', 'nvae-drop', {}, hint, chooser)
  el.classList.add('nvae-grid')
  el.classList.toggle('nvae-fit', get('fit'))
  data.lmSuppressShortcuts = 'true'
  data.serial = 0
  const hold = make('button', 'nvae-film', {type: 'button', hidden: true})
  el.append(body, hold, drop, zoom)
  if (Object.keys(get('actions')).length) zoom.append(offers('button', () => seen))
  zoom.append(close)

  // --- what is sent
  function send(event, details = {}, buffers = []) {
    model.send({event, serial: +data.serial, ...details}, undefined, buffers)
  }
  const pick = (index, x = .5, y = .5) => send('pick', {index, x, y})

  // --- pictures: parts of the one that Python sent
  const name = i => get('labels')[i] || `image ${i + 1}`
  const mark = i => get('marks')[i] || ''

  function place(pic, i) {
    showPart(pic, address, i, get('n'), get('columns'))
    pic.style.aspectRatio = get('aspect')
  }

  function focus(i, how) {
    at = Math.max(0, Math.min(tiles.length - 1, i))
    tiles.forEach((tile, k) => { tile.tabIndex = k === at ? 0 : -1 })
    tiles[at]?.focus(how)
  }

  // --- one image, large
  function look(i) {
    if (!tiles[i]) return
    seen = i
    place(zoomed, i)
    zoomed.style.width = `min(90vw, ${75 * get('aspect')}vh, ${Math.max(640, 1.5 * size())}px)`
    title.textContent = name(i)
  }

  function open(i) {
    look(i)
    if (tiles[i]) zoom.showModal()
  }

  // --- tiles
  // On a tile, which is a button itself, words are for the pointer alone; keys and the large image do the same
  function word(tag, text, title, act) {
    const button = make(tag, '', {textContent: text, title, ariaHidden: tag === 'button' ? null : true})
    button.onclick = e => {
      e.stopPropagation()
      act()
    }
    return button
  }

  // What a finger can do that doesn't drag
  function shifters(i) {
    const back = word('span', '◂', 'one place back', () => { if (i > 0) send('move', {start: i, to: i - 1}) })
    const on = word('span', '▸', 'one place on', () => { if (i < get('n') - 1) send('move', {start: i, to: i + 1}) })
    return make('span', 'nvae-offers', {}, back, word('span', '✕', 'take it out', () => send('remove', {index: i})), on)
  }

  // What else can be done with an image
  function offers(tag, index) {
    const words = Object.entries(get('actions')).map(([name, [text, about]]) => {
      return word(tag, text, about, () => send('act', {index: index(), name}))
    })
    return make('span', 'nvae-offers nvae-doing', {}, ...words)
  }

  function newTile(i) {
    const closer = make('span', 'nvae-look', {textContent: '⤢', title: 'look closer (z)', ariaHidden: true})
    const key = make('kbd', 'nvae-cap', {ariaHidden: true})
    const parts = [make('span', 'nvae-pic'), make('span', 'nvae-mark'), make('span', 'nvae-box'), key, closer]
    if (get('sortable')) parts.push(shifters(i))
    if (Object.keys(get('actions')).length) parts.push(offers('span', () => i))
    const tile = make('div', 'nvae-tile', {tabIndex: i === at ? 0 : -1, draggable: get('sortable')}, ...parts)
    tile.setAttribute('role', 'button')
    tile.onfocus = () => { at = i }
    closer.onclick = e => {
      e.stopPropagation()
      open(i)
    }
    tile.onclick = e => {
      const frame = tile.firstChild.getBoundingClientRect()
      focus(i)
      if (get('pickable')) pick(i, (e.clientX - frame.left) / frame.width, (e.clientY - frame.top) / frame.height)
      else open(i)
    }
    tile.ondragstart = e => {
      from = i
      e.dataTransfer.setData('text/plain', String(i))
      e.dataTransfer.effectAllowed = 'move'
    }
    tile.ondragover = e => {
      if (from < 0) return
      e.preventDefault()
      tile.classList.add('nvae-over')
    }
    tile.ondragleave = () => tile.classList.remove('nvae-over')
    tile.ondragend = () => { from = -1 }
    tile.ondrop = e => {
      tile.classList.remove('nvae-over')
      if (from < 0) return
      e.preventDefault()
      e.stopPropagation()
      if (from !== i) send('move', {start: from, to: i})
      from = -1
    }
    return tile
  }

  function newTiles(n, columns, rows) {
    const had = body.contains(document.activeElement)
    at = Math.max(0, Math.min(at, n - 1))
    tiles = Array.from({length: n}, (_, i) => newTile(i))
    const labels = rows.map(() => make('span', 'nvae-row'))
    const children = []
    tiles.forEach((tile, i) => {
      if (rows.length && i % columns === 0) children.push(labels[i / columns] || make('span', ''))
      children.push(tile)
    })
    for (let i = n; i < get('places'); i++) children.push(make('span', 'nvae-empty', {ariaHidden: true}))
    body.replaceChildren(...children)
    if (had && n) focus(at)
  }

  function dressTile(tile, i) {
    const [pic, badge, frame, key] = tile.children
    key.textContent = i + 1
    key.hidden = !get('keycaps') || i >= DIGITS.length
    const box = get('box')
    place(pic, i)
    badge.textContent = mark(i)
    badge.hidden = !mark(i)
    tile.classList.toggle('nvae-marked', !!mark(i))
    tile.classList.toggle('nvae-framed', get('framed').includes(i))
    frame.hidden = !(box.length === 5 && box[0] === i)
    if (!frame.hidden) SIDES.forEach((side, k) => { frame.style[side] = `${100 * box[k + 1]}%` })
    tile.setAttribute('aria-label', name(i) + (mark(i) ? `, ${get('mark_word')} ${mark(i)}` : ''))
  }

  // --- the heads of rows: the name of a group, a bar, and a walk
  function newHead(r) {
    const head = () => get('heads')[r] ?? {}
    const scale = make('button', 'nvae-head-scale', {type: 'button', onclick: () => send('head', {name: head().scale})})
    const group = make('button', 'nvae-head-group', {type: 'button', onclick: () => send('head', {name: head().name})})
    const bar = make('span', 'nvae-head-bar', {role: 'img'}, make('span', ''))
    const walk = make('button', 'nvae-head-walk', {type: 'button', onclick: () => send('walk', {name: head().name})})
    return [scale, group, bar, walk]
  }

  function dressHead(label, r) {
    const {name: group, scale, size, share, changes} = get('heads')[r]
    if (label.children.length !== 4) label.replaceChildren(...newHead(r))
    const [whole, single, bar, walk] = label.children
    const walks = get('film_of')[0] === r * get('columns')
    const say = (element, text) => {
      element.title = text
      element.setAttribute('aria-label', text)
    }
    whole.textContent = size
    whole.style.visibility = scale ? '' : 'hidden'
    say(whole, `${scale}: all groups of ${size}`)
    single.textContent = group
    say(single, `group ${group}, ${size}: only this one, larger`)
    bar.firstChild.style.width = `${100 * share}%`
    say(bar, `fresh noise in group ${group} changes pixels by ${changes}`)
    walk.textContent = walks ? '◼' : '▶'
    walk.setAttribute('aria-pressed', walks)
    say(walk, walks ? `stop the walk in group ${group}` : `walk in the noise of group ${group}, in its tile`)
  }

  function dressRow(label, r) {
    label.classList.toggle('nvae-head', r < get('heads').length)
    if (r < get('heads').length) dressHead(label, r)
    else label.textContent = get('row_labels')[r]
  }

  // --- a walk that plays in a tile; it stands still, at its far side, for whoever wants less motion
  function frame(k) {
    const [i, n] = get('film_of')
    const pic = tiles[i]?.firstChild
    if (pic) showPart(pic, film.address, k, n, get('film_columns'))
  }

  function endFilm() {
    if (!film) return
    runs(false)
    URL.revokeObjectURL(film.address)
    film = null
    hold.hidden = true
  }

  // Every film can be stopped: a walk by the ▶ of its row, any other by a button below it
  function runs(yes) {
    const [, n, ms] = get('film_of')
    const next = () => {
      film.at = (film.at + 1) % n
      frame(film.at)
    }
    clearInterval(film.timer)
    film.timer = yes ? setInterval(next, ms) : null
    hold.hidden = !n || get('heads').length > 0
    hold.textContent = yes ? 'Pause' : 'Play'
    hold.setAttribute('aria-label', yes ? 'pause the film' : 'play the film')
  }
  hold.onclick = () => { if (film) runs(!film.timer) }

  function play() {
    const bytes = get('film')
    const [, n] = get('film_of')
    if (!n) return endFilm()
    if (film?.bytes === bytes) return frame(film.at)
    endFilm()
    film = {bytes, address: URL.createObjectURL(new Blob([bytes])), at: 0}
    if (wantsCalm()) film.at = Math.floor(n / 2)
    frame(film.at)
    runs(!wantsCalm())
  }

  // --- as large as there is room: --fit says whether the height counts, too
  function size() {
    if (!get('fit') || !el.clientWidth) return get('size')
    const columns = get('columns')
    const rows = Math.ceil(Math.max(get('n'), get('places')) / columns)
    const widest = above() ? 0 : Math.max(0, ...[...body.querySelectorAll('.nvae-row')].map(label => label.scrollWidth))
    const wide = (el.clientWidth - 2 * EDGE - (widest && widest + GAP)) / columns - GAP
    if (getComputedStyle(el).getPropertyValue('--fit').trim() !== 'both') return Math.max(LEAST, Math.floor(wide))
    const high = ((el.clientHeight - 2 * EDGE) / rows - GAP) * get('aspect')
    return Math.max(LEAST, Math.floor(Math.min(wide, high)))
  }

  // Where it is narrow the heads of rows stand above their tiles
  const above = () => getComputedStyle(el).getPropertyValue('--heads').trim() === 'above'

  function fit() {
    const labels = get('row_labels').length && !above() ? 'auto ' : ''
    body.style.gridTemplateColumns = labels + `repeat(${get('columns')}, ${size()}px)`
  }

  function dress() {
    const n = get('n')
    const rows = get('row_labels')
    const columns = get('columns')
    const shape = `${columns},${rows.length},${get('sortable')},${get('places')}`
    if (tiles.length !== n || data.shape !== shape) {
      data.shape = shape
      newTiles(n, columns, rows)
    }
    body.querySelectorAll('.nvae-row').forEach(dressRow)
    body.hidden = !n && !get('places') // before it is measured
    fit()
    body.setAttribute('aria-label', get('caption'))
    tiles.forEach(dressTile)
    play()
    hint.textContent = get('drop')
    drop.hidden = !get('drop')
    el.classList.toggle('nvae-dim', get('dim'))
    body.style.setProperty('--aspect', get('aspect'))
  }

  // A picture is shown once it is decoded, and only if no other was asked for meanwhile: nothing flickers
  async function show() {
    const mine = ++asked
    const serial = get('serial')
    if (serial === +data.serial && address) return dress()
    const next = await decoded(get('image'))
    if (mine !== asked) return URL.revokeObjectURL(next)
    const old = address
    address = next
    dress()
    data.serial = serial
    if (waits && tiles.length) {
      waits = false
      if (!typing()) focus(0, {preventScroll: true})
    }
    forget(old)
  }

  // --- files
  async function hand(file) {
    if (!file) return
    const small = file.size <= get('largest')
    send('file', {name: file.name, size: file.size}, small ? [new DataView(await file.arrayBuffer())] : [])
  }

  chooser.onchange = () => {
    hand(chooser.files[0])
    chooser.value = ''
  }
  el.ondragover = e => {
    if (!get('drop') || !e.dataTransfer.types.includes('Files')) return
    e.preventDefault()
    drop.classList.add('nvae-over')
  }
  el.ondragleave = () => drop.classList.remove('nvae-over')
  el.ondrop = e => {
    drop.classList.remove('nvae-over')
    if (!get('drop') || !e.dataTransfer.files.length) return
    e.preventDefault()
    hand(e.dataTransfer.files[0])
  }

  // The focus goes to the tile at once: the dialog's own `close` event would come after the next key
  function leave() {
    zoom.close()
    focus(seen)
  }
  close.onclick = leave
  zoom.onclick = e => { if (e.target === zoom) leave() }
  zoom.oncancel = e => {
    e.preventDefault()
    leave()
  }

  // --- keys
  function move(to) {
    if (!tiles[to]) return
    send('move', {start: at, to})
    focus(to)
  }

  // What a key does, or null; the first that fits
  function action(e) {
    const arrow = ARROWS[e.key]
    const next = arrow && at + arrow[0] + arrow[1] * get('columns')
    const digit = e.key.length === 1 ? DIGITS.indexOf(e.key) : -1
    if (get('sortable') && arrow && e.shiftKey) return () => move(next)
    if (get('sortable') && ['Delete', 'Backspace'].includes(e.key)) return () => send('remove', {index: at})
    if (e.key in get('hotkeys')) return () => send(get('hotkeys')[e.key])
    if (get('pickable') && digit >= 0) return () => { if (tiles[digit]) pick(digit) }
    if (arrow) return () => focus(next)
    if (e.key === 'z') return () => open(at)
    if (['Enter', ' '].includes(e.key) && e.target === tiles[at]) return () => get('pickable') ? pick(at) : open(at)
    return null
  }

  el.onkeydown = e => {
    e.stopPropagation()
    const arrow = ARROWS[e.key]
    if (zoom.open && arrow) look(seen + arrow[0] + arrow[1] * get('columns'))
    if (zoom.open || e.ctrlKey || e.metaKey || e.altKey || e.target === chooser) return
    const act = action(e)
    if (!act) return
    e.preventDefault()
    act()
  }

  // Where another board comes in this one's place, nothing is looked at any more
  const observer = new ResizeObserver(() => {
    if (zoom.open && !el.offsetParent) zoom.close()
    fit()
  })
  observer.observe(el)
  model.on('change', show)
  show()
  return () => {
    observer.disconnect()
    endFilm()
    model.off('change', show)
    if (address) URL.revokeObjectURL(address)
  }
}

export default {render}

// A plane to drag a point in, from -reach to reach both ways: the page's side of Plane. The two sliders below it are
// the same point, for keys and for screen readers.

function render({model, el}) {
  const reach = model.get('reach')
  const dot = make('span', 'nvae-dot')
  const title = 'drag; a double click leads back to the middle'
  const plane = make('div', 'nvae-plane', {title, ariaHidden: true}, dot)
  const words = ['across', 'up']
  const sliders = words.map(word => make('input', '', {type: 'range', min: -reach, max: reach, step: .05}))
  const readouts = words.map(() => make('output', '', {ariaHidden: true}))
  const lines = words.map((word, k) => make('label', '', {}, word, sliders[k], readouts[k]))
  el.classList.add('nvae-pad')
  el.dataset.lmSuppressShortcuts = 'true'
  el.setAttribute('role', 'group')
  el.setAttribute('aria-label', 'pad: two directions of fresh noise')
  el.append(plane, ...lines)
  el.onkeydown = e => e.stopPropagation()

  function put(x, y) {
    const inside = number => Math.round(100 * Math.max(-reach, Math.min(reach, number))) / 100
    model.set('value', [inside(x), inside(y)])
    model.save_changes()
    dress()
  }

  function dress() {
    const value = model.get('value')
    dot.style.left = `${50 + 50 * value[0] / reach}%`
    dot.style.top = `${50 - 50 * value[1] / reach}%`
    value.forEach((number, k) => {
      sliders[k].value = number
      readouts[k].textContent = number.toFixed(2)
    })
  }

  function follow(e) {
    const frame = plane.getBoundingClientRect()
    const x = 2 * (e.clientX - frame.left) / frame.width - 1
    const y = 1 - 2 * (e.clientY - frame.top) / frame.height
    put(reach * x, reach * y)
  }

  plane.onpointerdown = e => {
    plane.setPointerCapture(e.pointerId)
    follow(e)
  }
  plane.onpointermove = e => { if (plane.hasPointerCapture(e.pointerId)) follow(e) }
  plane.ondragstart = e => e.preventDefault()
  plane.ondblclick = () => put(0, 0)
  for (const slider of sliders) slider.oninput = () => put(+sliders[0].value, +sliders[1].value)
  dress()
  return listen(model, {'change:value': dress})
}

export default {render}

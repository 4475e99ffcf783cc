// The latent groups of a model as buttons, a row per scale, coarse to fine: the page's side of Hierarchy.

const STEPS = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}

function render({model, el}) {
  let keys = []

  function choose(name) {
    const now = model.get('value')
    const others = now.filter(x => x !== name)
    if (now.includes(name)) model.set('value', others)
    else model.set('value', model.get('several') ? [...now, name] : [name])
    model.save_changes()
  }

  function key(name, style, text, label) {
    const button = make('button', style, {type: 'button', textContent: text, title: label, tabIndex: -1})
    button.setAttribute('aria-label', label)
    button.dataset.name = name
    button.onclick = () => choose(name)
    keys.push(button)
    return button
  }

  function storey(scale, isLast) {
    const whole = key(scale.name, 'nvae-scale', scale.size, `${scale.name}: all groups of ${scale.size}`)
    const groups = scale.groups.map(g => key(String(g), 'nvae-group', String(g), `group ${g}, ${scale.size}`))
    const next = make('span', 'nvae-next', {textContent: isLast ? '→ image' : '↵', ariaHidden: true})
    return make('div', 'nvae-storey', {}, whole, make('span', 'nvae-groups', {}, ...groups), next)
  }

  function build() {
    const scales = model.get('scales')
    keys = []
    el.replaceChildren(make('div', 'nvae-storeys', {}, ...scales.map((s, i) => storey(s, i === scales.length - 1))))
    if (keys[0]) keys[0].tabIndex = 0
    dress()
  }

  // What is chosen is lit; the groups above the first of it, whose part of the walk is kept, are faint
  function dress() {
    const chosen = model.get('value')
    const inside = model.get('scales').filter(s => chosen.includes(s.name)).flatMap(s => s.groups.map(String))
    const lit = new Set([...chosen.filter(name => !name.startsWith('scale')), ...inside])
    const first = Math.min(Infinity, ...[...lit].map(Number))
    for (const button of keys) {
      const name = button.dataset.name
      const above = first < Infinity && button.classList.contains('nvae-group') && +name < first
      button.classList.toggle('nvae-lit', lit.has(name) || chosen.includes(name))
      button.classList.toggle('nvae-kept', above)
      button.setAttribute('aria-pressed', chosen.includes(name))
    }
  }

  el.classList.add('nvae-hierarchy')
  el.dataset.lmSuppressShortcuts = 'true'
  el.setAttribute('role', 'group')
  el.setAttribute('aria-label', 'latent groups, coarse to fine')
  el.onkeydown = e => {
    e.stopPropagation()
    const step = STEPS[e.key]
    const at = keys.indexOf(e.target)
    if (!step || at < 0) return
    e.preventDefault()
    const next = keys[Math.max(0, Math.min(keys.length - 1, at + step))]
    keys.forEach(button => { button.tabIndex = button === next ? 0 : -1 })
    next.focus()
  }

  build()
  return listen(model, {'change:scales': build, 'change:value': dress})
}

export default {render}

// Rows of controls, one row per name: the page's side of Rows. A desk's rows choose sources and amounts, a direction's
// rows an amount and a range of groups. `fields` says what stands in each row; `value` maps a name to its row's values.

const shown = number => String(Math.round(100 * number) / 100)

function render({model, el}) {
  const get = name => model.get(name)
  const body = make('div', 'nvae-rows')
  let cells = {} // name of a row → the controls in it
  el.classList.add('nvae-desk')
  el.dataset.lmSuppressShortcuts = 'true'
  el.append(body)
  el.onkeydown = e => e.stopPropagation()

  function put(name, k, value) {
    const names = name === get('all') ? get('labels') : [name]
    const now = {...get('value')}
    for (const each of names) now[each] = now[each].map((old, i) => i === k ? value : old)
    model.set('value', now)
    model.save_changes()
    dress()
  }

  function control(name, field, k) {
    const label = `${field.label} of ${get('title')} ${name}`
    const props = {title: field.hint, ariaLabel: label}
    if (field.kind === 'choice') {
      const options = field.options.map(option => make('option', '', {value: option, textContent: option}))
      const select = make('select', 'nvae-field', props, ...options)
      select.onchange = () => put(name, k, select.value)
      return select
    }
    const {kind, low, high, step} = field
    const input = make('input', `nvae-field nvae-${kind}`, {...props, type: kind, min: low, max: high, step})
    const send = () => { if (input.value !== '') put(name, k, Math.min(high, Math.max(low, +input.value))) }
    if (kind === 'range') input.oninput = send
    else input.onchange = send
    return input
  }

  function line(name) {
    const head = make('span', 'nvae-name', {textContent: name, title: name})
    cells[name] = get('fields').map((field, k) => control(name, field, k))
    const amount = make('output', 'nvae-amount', {ariaHidden: true})
    const kids = cells[name].flatMap((input, k) => get('fields')[k].kind === 'range' ? [input, amount] : [input])
    const row = make('div', 'nvae-line-of', {role: 'group', ariaLabel: `${get('title')} ${name}`}, head, ...kids)
    row.amount = amount
    cells[name].row = row
    return row
  }

  function build() {
    const labels = get('labels')
    cells = {}
    const names = get('all') && labels.length > 1 ? [get('all'), ...labels] : labels
    body.replaceChildren(...names.map(line))
    body.setAttribute('role', 'group')
    body.setAttribute('aria-label', get('caption'))
    dress()
  }

  // A row for all shows what the first row has; a choice, only if all rows have the same
  function dress() {
    const value = get('value')
    for (const [name, inputs] of Object.entries(cells)) {
      const values = value[name] ?? value[get('labels')[0]]
      if (!values) continue
      get('fields').forEach((field, k) => {
        const input = inputs[k]
        if (document.activeElement !== input || field.kind !== 'number') input.value = values[k]
        const differ = name === get('all') && get('labels').some(each => value[each]?.[k] !== values[k])
        if (field.kind === 'choice' && differ) input.value = ''
        if (field.kind === 'range') inputs.row.amount.textContent = shown(values[k])
        if (field.kind === 'range') input.setAttribute('aria-valuetext', shown(values[k]))
        const [of, wanted] = field.when ?? []
        input.hidden = of !== undefined && values[of] !== wanted
      })
    }
  }

  build()
  return listen(model, {'change:labels change:fields': build, 'change:value': dress})
}

export default {render}

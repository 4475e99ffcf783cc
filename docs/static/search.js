// Titles of pages first, then terms and headings, then names of the package, then pages that hold the words; each page
// once.
const RANKS = {title: 3000, index: 1000, object: 1000, text: 0}
const GLOSSARY = 'idea/notation'
Scorer.score = ([page, title, anchor, , score, , kind]) => {
  const isPage = kind === 'title' && !anchor
  const isTerm = kind === 'title' && page === GLOSSARY
  const isInTitle = kind === 'text' && score >= Scorer.title
  return score + (RANKS[kind] ?? 0) + isPage * 2000 + isTerm * 1000 + isInTitle * 2000
}
const search = Search._performSearch
Search._performSearch = (...words) => {
  const best = search(...words).toReversed().toSorted((a, b) => b[4] - a[4]) // the first of a page is its best
  const seen = new Set()
  const once = best.filter(([page]) => !seen.has(page) && seen.add(page))
  return once.reverse() // shown from the last to the first
}

// Elements of the page. Texts from runs are inserted as text: no code reads HTML from them.

/** An element with attributes and children. A string child becomes a text node; null and undefined are left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) made.append(child);
  }
  return made;
}

/** The verdict in its colour. Internal runs look different from all others. */
export function badge(run) {
  return element('span', {class: `badge ${run.verdict.toLowerCase()}`}, run.verdict);
}

/** How a run ended, where the verdict does not say it. */
export function ending(run) {
  if (!run.ending || run.ending === run.verdict.toLowerCase()) return null;
  return element('span', {class: `ending ${run.ending}`}, run.ending);
}

/** A time in the reader's time zone; null for none, or one so far away that it is no date. */
export function when(seconds) {
  if (seconds === null || seconds === undefined) return null;
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return null;
  const two = (number) => String(number).padStart(2, '0');
  const text = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
  return element('time', {datetime: date.toISOString(), title: date.toISOString()}, text);
}

/** A star with what it stands for. */
export function star(meaning) {
  return element('span', {class: 'star', role: 'img', 'aria-label': meaning, title: meaning}, '★');
}

/** A section with a heading; null if it would be empty. */
export function section(id, title, ...children) {
  const present = children.flat(Infinity).filter((child) => child !== null && child !== undefined);
  return present.length ? element('section', {id, 'aria-labelledby': `${id}-title`}, element('h2', {id: `${id}-title`}, title), present) : null;
}

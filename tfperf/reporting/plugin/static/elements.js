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

/** A table that scrolls on a narrow screen. `rows` hold cells: texts, elements or [cell, attributes]. */
export function table(caption, headers, rows, attributes = {}) {
  const cell = (name, content) => Array.isArray(content) ? element(name, content[1], content[0]) : element(name, {}, content);
  return element('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption},
    element('table', attributes,
      element('caption', {}, caption),
      headers.length ? element('thead', {}, element('tr', {}, headers.map((header) => scoped(fitted(cell('th', header)), 'col')))) : null,
      element('tbody', {}, rows.map(([first, ...others]) => element('tr', {},
        scoped(cell('th', first), 'row'), others.map((each) => fitted(cell('td', each))))))));
}

/** The verdict in its colour. Internal runs look different from all others. */
export function badge(run) {
  return element('span', {class: `badge ${run.verdict.toLowerCase()}`}, run.verdict);
}

/** A section with a heading; null if it would be empty. */
export function section(id, title, ...children) {
  const present = children.flat(Infinity).filter((child) => child !== null && child !== undefined);
  return present.length ? element('section', {id, 'aria-labelledby': `${id}-title`}, element('h2', {id: `${id}-title`}, title), present) : null;
}

function scoped(header, scope) {
  header.setAttribute('scope', scope);
  return header;
}

function fitted(cell) {
  if (/^[-\d.,]+$/.test(cell.textContent)) cell.classList.add('number');
  // Only a text without spaces to break at may break anywhere.
  if (cell.textContent.split(/\s/).some((word) => word.length > 24)) cell.classList.add('long');
  return cell;
}

// Tables that scroll on a narrow screen, sort by a column, and can be saved as CSV.

import {element} from './elements.js';

const sorted = new Map();  // caption -> the column and direction that the reader chose

/**
 * A table. `headers` and `rows` hold cells: texts, elements or [cell, attributes].
 * The attribute `data-value` of a cell holds a number in full, and `data-csv` what the file says in place of the text.
 * `best` is the row to mark. Rows are sorted by the column that the reader chooses, unless their order means something.
 */
export function table(caption, headers, rows, {best = null, sortable = true, ...attributes} = {}) {
  const cell = (name, content) => Array.isArray(content) ? element(name, content[1], content[0]) : element(name, {}, content);
  const head = element('tr', {}, headers.map((header) => scoped(fitted(cell('th', header)), 'col')));
  const body = element('tbody', {}, rows.map(([first, ...others], index) => element('tr', {class: index === best ? 'best' : null},
    scoped(cell('th', first), 'row'), others.map((each) => fitted(cell('td', each))))));
  alignUnknown(body);
  if (sortable && rows.length > 1) makeSortable(caption, head, body);
  const save = element('button', {type: 'button', class: 'small', title: 'Save this table as a CSV file', onclick: () => download(caption, head, body)}, 'CSV');
  return element('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption},
    element('table', attributes, element('caption', {}, caption, ' ', save), element('thead', {}, head), body));
}

function makeSortable(caption, head, body) {
  for (const [index, header] of [...head.children].entries()) {
    if (!header.textContent) continue;
    const button = element('button', {type: 'button', class: 'sort', onclick: () => {
      const ascending = header.getAttribute('aria-sort') !== 'ascending';
      sorted.set(caption, {column: header.textContent, ascending});
      sort(head, body, index, ascending);
    }}, ...header.childNodes);
    header.replaceChildren(button);
    const chosen = sorted.get(caption);
    if (chosen?.column === header.textContent) sort(head, body, index, chosen.ascending);
  }
}

function sort(head, body, index, ascending) {
  for (const header of head.children) header.removeAttribute('aria-sort');
  head.children[index].setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
  const rows = [...body.rows].map((row) => ({row, key: sortKey(row.cells[index])}));
  body.append(...rows.sort((one, other) => compared(one.key, other.key, ascending)).map(({row}) => row));
}

/** A number if the cell holds one, null if it is empty, else its text. */
function sortKey(cell) {
  const text = cell.textContent.trim();
  if (text === '' || text === '--') return null;
  const number = Number(cell.dataset.value ?? text.replaceAll(',', '').replace(/^★\s*/, ''));
  return Number.isNaN(number) ? text : number;
}

/** What is unknown comes last, whatever the direction; numbers come before texts. */
function compared(one, other, ascending) {
  if (one === null || other === null) return (one === null) - (other === null);
  if (typeof one !== typeof other) return typeof one === 'number' ? -1 : 1;
  const order = typeof one === 'number' ? one - other : one.localeCompare(other, undefined, {numeric: true});
  return ascending ? order : -order;
}

function download(caption, head, body) {
  const lines = [head, ...body.rows].map((row) => [...row.children].map(written).join(','));
  const address = URL.createObjectURL(new Blob([`${lines.join('\r\n')}\r\n`], {type: 'text/csv'}));
  element('a', {href: address, download: `tfperf-${caption.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}.csv`}).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** A cell of a CSV file: a number in full, else the text. */
function written(cell) {
  const text = cell.dataset.csv ?? cell.dataset.value ?? cell.textContent.trim();
  // A spreadsheet would run a text that begins like this as a formula.
  const safe = /^[=+@\t\r-]/.test(text) && text !== '--' && Number.isNaN(Number(text)) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Aligns what is unknown with the numbers of its column. */
function alignUnknown(body) {
  const numeric = new Set([...body.querySelectorAll('td.number')].map((cell) => cell.cellIndex));
  for (const cell of body.querySelectorAll('td')) if (cell.textContent === '--' && numeric.has(cell.cellIndex)) cell.classList.add('number');
}

function scoped(header, scope) {
  header.setAttribute('scope', scope);
  return header;
}

function fitted(cell) {
  if (/^-?[\d.,]*\d$/.test(cell.textContent)) cell.classList.add('number');
  // Only a text without spaces to break at may break anywhere.
  if (cell.textContent.split(/\s/).some((word) => word.length > 24)) cell.classList.add('long');
  return cell;
}

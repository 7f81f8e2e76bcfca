// What the page shows about the chosen runs, section by section. `runs` are {run, colour}, with `run` as the server describes it.

import {badge, element, section, table} from './elements.js';

/** The verdicts come first, with their reasons and what was measured. */
export function verdicts(runs) {
  return section('verdicts', 'Verdict', element('div', {class: 'cards'}, runs.map(card)));
}

/** The chart of training runs. `draw` gets its element once it is on the page. */
export function quality(runs, draw) {
  const trained = runs.filter(({run}) => run.course);
  if (!trained.length) return null;
  const rows = trained.flatMap(({run}) => run.course.points.map((point) => [run.name, text(point.epoch), text(point.seconds, 2), exact(point.value),
    run.course.crossed && point.seconds === run.course.crossed.seconds ? 'target crossed' : '']));
  return section('quality', 'Quality over time on the clock',
    chart('Quality of each run over the seconds on the clock, with its target and the crossing', (place) => draw(place, trained)),
    element('details', {}, element('summary', {}, `As a table (${rows.length} evaluations)`),
      table('Evaluations', ['run', [...new Set(trained.map(({run}) => run.course.unit))].join(' or '), 'seconds', 'quality', ''], rows)));
}

/** The latency distribution of serving runs, then their tables. */
export function latencies(runs, draw) {
  const served = runs.filter(({run}) => run.kind === 'infer');
  if (!served.length) return null;
  const drawn = served.filter(({run}) => run.distribution?.length);
  const missing = served.filter(({run}) => !run.distribution?.length).map(({run}) => element('p', {class: 'quiet'},
    `${run.name}: TensorBoard has not (yet) read any latencies from its event files.`));
  return section('latencies', 'Latency',
    drawn.length ? chart('Share of queries answered within each latency, for each run, with the bound', (place) => draw(place, drawn)) : null,
    missing,
    served.map(({run}) => [subheading(run), run.tables.map(({title, headers, rows}) => table(title, headers, rows, {class: 'wordy'}))]));
}

/** The trials of sweeps. */
export function sweeps(runs) {
  const swept = runs.filter(({run}) => run.kind === 'sweep' && run.tables?.length);
  return section('sweeps', 'Sweep', swept.map(({run}) => [subheading(run), run.tables.map(({title, headers, rows}) => table(title, headers, rows, {class: 'wordy'}))]));
}

/** All runs side by side: the numbers, then the settings and the software that differ. */
export function comparison(runs) {
  if (runs.length < 2) return null;
  const shown = runs.map(({run}) => run);
  // New elements for each table, since an element can be in one place only.
  const headers = () => ['', ...shown.map((run) => [element('span', {}, badge(run), ' ', run.name), {class: run.verdict.toLowerCase()}])];
  const labels = union(shown.map((run) => (run.numbers ?? []).map((number) => number.label)));
  const numbers = labels.map((label) => [label, ...shown.map((run) => quoted((run.numbers ?? []).find((number) => number.label === label)))]);
  const head = [['benchmark', ...shown.map((run) => run.benchmark)], ['what', ...shown.map((run) => run.what)], ['division', ...shown.map((run) => run.division)]];
  return section('comparison', 'Side by side',
    table('Measured', headers(), [...head, ...numbers]),
    differences('Settings that differ', headers, shown.map((run) => run.config ?? {})),
    differences('Machine and software that differ', headers, shown.map((run) => run.machine ?? {})));
}

/** What is known about compliance. `manifest` adds later whether the files are unchanged. */
export function compliance(runs, manifest) {
  const known = runs.filter(({run}) => run.checklist);
  if (!known.length) return null;
  return section('compliance', 'Compliance',
    element('p', {class: 'quiet'}, 'From result.json. To check the rules themselves, run ', element('code', {}, 'tfperf check RUN'), '. No result here is verified by MLCommons.'),
    known.map(({run}) => {
      const list = element('ul', {class: 'checklist'}, run.checklist.map(item));
      manifest(run).then((found) => list.append(item(found)));
      return [subheading(run), list];
    }));
}

/** What was recorded about the machine and the software. */
export function machine(runs) {
  const known = runs.filter(({run}) => run.machine && Object.keys(run.machine).length);
  if (!known.length) return null;
  const labels = union(known.map(({run}) => Object.keys(run.machine)));
  return section('machine', 'Machine', table('Recorded when the run began', ['', ...known.map(({run}) => run.name)],
    labels.map((label) => [label, ...known.map(({run}) => text(run.machine[label]))]), {class: 'wordy'}));
}

function card({run, colour}) {
  const live = run.verdict === 'UNFINISHED' && run.last_event_s ? `Last event: ${new Date(run.last_event_s * 1000).toISOString()}` : null;
  return element('article', {class: `card ${run.verdict.toLowerCase()}`, 'data-run': run.name},
    element('h3', {}, element('span', {class: 'swatch', style: `background:${colour}`}), run.name),
    element('p', {class: 'verdict'}, badge(run), ' ', run.line),
    run.division === 'internal' ? element('p', {class: 'warning'}, "INTERNAL: not an MLPerf result, can't be submitted or packaged") : null,
    run.division === 'closed' && run.closed_eligible === false ? element('p', {class: 'warning'}, 'NOT CLOSED-ELIGIBLE: it breaks the rules of its division') : null,
    run.reasons.length ? element('ul', {class: 'reasons'}, run.reasons.map((reason) => element('li', {}, reason))) : null,
    live ? element('p', {class: 'quiet'}, live) : null,
    run.facts?.length ? element('dl', {}, run.facts.map(([label, content]) => [element('dt', {}, label), element('dd', {}, content)])) : null);
}

function differences(caption, headers, named) {
  const labels = union(named.map(Object.keys)).filter((label) => new Set(named.map((values) => JSON.stringify(values[label]))).size > 1);
  if (!labels.length) return element('p', {class: 'quiet'}, `${caption}: none.`);
  return table(caption, headers(), labels.map((label) => [label, ...named.map((values) => text(values[label]))]), {class: 'wordy'});
}

function item({state, text: content, because}) {
  const sign = {yes: '✓', no: '✗', unknown: '?'}[state];
  return element('li', {class: state}, element('span', {class: 'sign', role: 'img', 'aria-label': state}, sign), ' ', content, because ? element('span', {class: 'because'}, `: ${because}`) : null);
}

function chart(label, draw) {
  const place = element('div', {class: 'chart', role: 'img', 'aria-label': label});
  queueMicrotask(() => draw(place).catch((error) => { place.textContent = error.message; place.classList.add('warning'); }));
  return place;
}

function subheading(run) {
  return element('h3', {}, badge(run), ' ', run.name);
}

/** A number as it may be quoted. Its tooltip and the page hold the full value of result.json. */
function quoted(number) {
  if (!number) return '';
  return [number.text, {'data-value': number.value, title: number.value === null ? null : String(number.value), class: 'number'}];
}

function exact(value) {
  return [text(value, 4), {'data-value': value, title: String(value)}];
}

function text(value, decimals) {
  if (value === null || value === undefined) return '';
  return decimals !== undefined && typeof value === 'number' ? value.toFixed(decimals) : String(value);
}

function union(lists) {
  return [...new Set(lists.flat())];
}

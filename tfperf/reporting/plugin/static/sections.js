// What the page shows about the chosen runs, section by section. `runs` are {run, look}, with `run` as the server describes it.

import {rounded} from './charts.js';
import {badge, element, ending, section, star, when} from './elements.js';
import {glyph} from './glyphs.js';
import {shortName} from './names.js';
import {table} from './tables.js';

const LONG_FACT = 48;
const MOST_WHOLE_CARDS = 4;
const COMPACT_FACTS = 4;

/** The verdicts come first, with their reasons and what was measured. */
export function verdicts(runs) {
  const compact = runs.length > MOST_WHOLE_CARDS;
  return section('verdicts', 'Verdict', element('div', {class: compact ? 'cards compact' : 'cards'}, runs.map((each) => card(each, compact))));
}

/** The charts of training runs, one for each metric. `draw` gets its element once it is on the page. */
export function quality(runs, draw) {
  const trained = runs.filter(({run}) => run.course);
  if (!trained.length) return null;
  const rows = trained.flatMap(({run}) => run.course.points.map((point) => [run.name, text(point.epoch), fixed(point.seconds, 2), run.course.metric, fixed(point.value, 4),
    run.course.crossed && point.seconds === run.course.crossed.seconds ? 'target crossed' : '']));
  const units = [...new Set(trained.map(({run}) => run.course.unit))].join(' or ');
  const charts = groupedBy(trained, ({run}) => run.course.metric);
  return section('quality', 'Quality over time on the clock',
    [...charts].map(([metric, alike]) => [
      chart(`${metric} of each run over the seconds on the clock, with its target and the crossing`, (place) => draw(place, alike)), legend(alike)]),
    element('details', {id: 'evaluations'}, element('summary', {}, `As a table (${rows.length} evaluations)`),
      table('Evaluations', ['run', units, 'seconds', 'metric', 'value', ''], rows)));
}

/** What detectors found at their newest evaluation: pictures, and the precision of each class. `draw` is given the curves of a run. */
export function detections(runs, draw) {
  const shown = runs.filter(({run}) => run.pictures?.length || run.curves?.length);
  return section('detections', 'Detections at the newest evaluation', shown.map(({run, look}) => [subheading(run, look),
    run.pictures.length ? element('div', {class: 'pictures'}, run.pictures.map(({name, step}) => picture(run, name, step))) : null,
    run.curves.length ? [element('h4', {}, 'Precision by recall at an IoU of 0.5'),
      chart(`Precision at each recall for each class of ${run.name}`, (place) => draw(place, run.curves))] : null]));
}

/** One picture with its name, which opens it in full size. The step makes the address a new one at each evaluation. */
function picture(run, name, step) {
  const address = `picture?key=${encodeURIComponent(run.key)}&name=${encodeURIComponent(name)}&step=${step}`;
  return element('figure', {}, element('a', {href: address, target: '_blank', rel: 'noopener'},
    element('img', {src: address, loading: 'lazy', alt: `${name}: ground truth on the left, detections on the right`})),
  element('figcaption', {}, `${name}, step ${step}`));
}

/** The latency distribution of serving runs, then their tables. */
export function latencies(runs, draw) {
  const served = runs.filter(({run}) => run.kind === 'infer');
  if (!served.length) return null;
  const drawn = served.filter(({run}) => run.distribution?.length);
  const missing = served.filter(({run}) => !run.distribution?.length).map(({run}) => element('p', {class: 'quiet'},
    `${run.name}: TensorBoard has not (yet) read any latencies from its event files.`));
  return section('latencies', 'Latency',
    drawn.length ? [chart('Share of queries answered within each latency, for each run, with the bound', (place) => draw(place, drawn)), legend(drawn)] : null,
    missing,
    served.map(({run, look}) => [subheading(run, look), element('div', {class: 'tables'},
      run.tables.map(({title, headers, rows}) => table(title, headers, rows, {class: 'wordy'})))]));
}

/** The charts and tables of evaluations. `draw` is given a chart as the server describes it. */
export function loads(runs, draw) {
  const evaluated = runs.filter(({run}) => run.kind === 'evaluate' && run.tables?.length);
  return section('loads', 'Evaluation', evaluated.map(({run, look}) => [subheading(run, look),
    run.charts.map((described) => [element('h4', {}, described.title), chart(`${described.title} of ${run.name}`, (place) => draw(place, described))]),
    element('div', {class: 'tables'}, run.tables.map(({title, headers, rows}) => table(title, headers, rows, {class: 'wordy'})))]));
}

/** The trials of sweeps, the best one marked. `trials` gives the run of a trial, `choose` adds one to the chosen. */
export function sweeps(runs, {trials, choose}) {
  const swept = runs.filter(({run}) => run.kind === 'sweep' && run.tables?.length);
  return section('sweeps', 'Sweep', swept.map(({run, look}) => [subheading(run, look), run.tables.map(({title, headers, rows, values, best}) => {
    const named = (name, index) => {
      const found = trials(run.key, name);
      const link = found ? element('button', {type: 'button', class: 'link', title: `Show ${found.name}`, onclick: () => choose(found.key)}, name) : name;
      return [element('span', {}, index === best ? [star('best trial'), ' '] : null, link), {'data-csv': name}];
    };
    const cells = rows.map((row, index) => row.map((shown, column) => column === 0 ? named(shown, index) : full(shown, values[index][column])));
    return table(title, headers, cells, {class: 'wordy', best});
  })]));
}

/** All runs side by side: the numbers, then the settings and the software that differ. */
export function comparison(runs) {
  if (runs.length < 2) return null;
  const alike = runs.filter(({run}) => run.kind !== 'sweep');  // a sweep has settings of another kind
  const shown = alike.map(({run}) => run);
  // New elements for each table, since an element can be in one place only.
  const headers = () => [['', {'data-csv': 'setting'}], ...alike.map(({run, look}) => [element('span', {title: run.name}, glyph(run, look), shortName(run)), {class: run.verdict.toLowerCase(), 'data-csv': run.name}])];
  return section('comparison', 'Side by side',
    measured(runs),
    alike.length < 2 ? null : [
      differences('Settings that differ', headers, shown.map((run) => run.config ?? {})),
      differences('Machine and software that differ', headers, shown.map((run) => run.machine ?? {}))]);
}

/** What is known about compliance. `manifest` adds later whether the files are unchanged. */
export function compliance(runs, manifest) {
  const known = runs.filter(({run}) => run.checklist);
  if (!known.length) return null;
  return section('compliance', 'Compliance',
    element('p', {class: 'quiet'}, 'From result.json. To check the rules themselves, run ', element('code', {}, 'tfperf check RUN'), '. No result here is verified by MLCommons.'),
    element('div', {class: 'checklists'}, known.map(({run, look}) => {
      const list = element('ul', {class: 'checklist'}, run.checklist.map(item));
      manifest(run).then((found) => list.append(item(found)));
      return element('div', {}, subheading(run, look), list);
    })));
}

/** How the machine was used and the power that it took, over time. `draw` is given the curves of a run and a unit. */
export function usage(runs, draw) {
  const known = runs.filter(({run}) => run.machine_series?.seconds?.length || run.machine_series?.reason);
  return section('usage', 'Machine over time', known.map(({run, look}) => {
    const curves = run.machine_series;
    if (curves.reason) return [subheading(run, look), element('p', {class: 'quiet'}, curves.reason)];
    const powered = curves.series.some(({unit}) => unit === 'W');
    return [subheading(run, look),
      chart(`Use of the machine over time in ${run.name}`, (place) => draw(place, curves, '%')),
      powered ? chart(`Power over time in ${run.name}`, (place) => draw(place, curves, 'W')) : element('p', {class: 'quiet'}, 'No power could be read; the verdict above says why.')];
  }));
}

/** What was recorded about the machine and the software. */
export function machine(runs) {
  const known = runs.filter(({run}) => run.machine && Object.keys(run.machine).length);
  if (!known.length) return null;
  const labels = union(known.map(({run}) => Object.keys(run.machine)));
  const headers = [['', {'data-csv': 'what'}], ...known.map(({run, look}) => [element('span', {title: run.name}, glyph(run, look), shortName(run)), {'data-csv': run.name}])];
  const content = table('Recorded when the run began', headers, labels.map((label) => [label, ...known.map(({run}) => plain(run.machine[label], label))]), {class: 'wordy settings', sortable: false});
  return section('machine', 'Machine', element('details', {id: 'recorded', open: known.length === 1}, element('summary', {}, `${labels.length} facts`), content));
}

function card({run, look}, compact) {
  const facts = (run.facts ?? []).filter(([label]) => label !== 'division' || run.division !== 'internal');  // the warning says that
  const [first, rest] = compact ? [facts.slice(0, COMPACT_FACTS), facts.slice(COMPACT_FACTS)] : [facts, []];
  const [began, last] = [when(run.started_s), run.verdict === 'UNFINISHED' ? when(run.last_event_s) : null];
  return element('article', {class: `card ${run.verdict.toLowerCase()}`, 'data-run': run.name, 'data-ending': run.ending},
    element('h3', {}, glyph(run, look), run.name),
    element('p', {class: 'verdict'}, badge(run), ' ', withoutBadge(run), ' ', ending(run)),
    run.division === 'internal' ? element('p', {class: 'warning'}, "INTERNAL: not an MLPerf result, can't be submitted or packaged") : null,
    run.division === 'closed' && run.closed_eligible === false ? element('p', {class: 'warning'}, 'NOT CLOSED-ELIGIBLE: it breaks the rules of its division') : null,
    run.reasons.length ? element('ul', {class: 'reasons'}, run.reasons.map((reason) => element('li', {}, reason))) : null,
    last ? element('p', {class: 'quiet'}, 'Last event: ', last) : null,
    first.length ? element('dl', {}, first.map(fact)) : null,
    rest.length ? element('details', {id: `facts-${run.key}`}, element('summary', {}, `${rest.length} more`), element('dl', {}, rest.map(fact))) : null,
    element('p', {class: 'quiet foot'}, began ? ['began ', began] : null, files(run)));
}

/** The line of the verdict without the word that the badge shows already. */
function withoutBadge(run) {
  const word = /^(VALID|INVALID|TIMED) /.exec(run.line)?.[1];
  return word === run.verdict || (word && run.verdict === 'INTERNAL') ? run.line.slice(word.length + 1) : run.line;
}

function fact([label, content]) {
  const wide = content.includes('\n') || content.length > LONG_FACT;
  return element('div', {class: wide ? 'fact wide' : 'fact'}, element('dt', {}, label), element('dd', {}, content));
}

/** Links to the files of a run, and to save each. */
function files(run) {
  return (run.files ?? []).map((name) => {
    const address = `file?key=${encodeURIComponent(run.key)}&name=${encodeURIComponent(name)}`;
    return element('span', {class: 'file'}, element('a', {href: address, target: '_blank', rel: 'noopener'}, name),
      element('a', {href: address, download: name, title: `Save ${name}`, 'aria-label': `Save ${name}`}, '⤓'));
  });
}

/** One row per run and one column per number. The best value among valid runs of the same kind is marked. */
function measured(runs) {
  const columns = new Map();
  for (const {run} of runs) for (const number of run.numbers ?? []) columns.set(columnOf(number), number);
  const described = ['benchmark', 'what', 'division'];
  // What is the same for all is said once above the table, and stays in the file.
  const same = new Map(described.map((key) => [key, new Set(runs.map(({run}) => run[key])).size === 1]));
  const describing = (key, content) => same.get(key) ? [content, {class: 'same'}] : content;
  const headers = ['run', 'began', ...described.map((key) => describing(key, key)), 'ended',
    ...[...columns].map(([column, number]) => [column, {class: 'number', 'data-csv': number.unit ? `${number.label} (${number.unit})` : number.label}])];
  const best = new Map([...columns.keys()].map((column) => [column, bestOf(runs.map(({run}) => run), column)]));
  const rows = runs.map(({run, look}) => [
    [element('span', {title: run.name}, glyph(run, look), badge(run), ' ', shortName(run)), {class: run.verdict.toLowerCase(), 'data-csv': run.name}],
    [when(run.started_s) ?? '', {'data-value': run.started_s, 'data-csv': run.started_s ? new Date(run.started_s * 1000).toISOString() : ''}],
    ...described.map((key) => describing(key, run[key])), ending(run) ?? run.ending ?? '',
    ...[...columns.keys()].map((column) => quoted(numberOf(run, column), best.get(column).has(run.key)))]);
  const common = described.filter((key) => same.get(key)).map((key) => runs[0].run[key]).filter(Boolean);
  return [common.length ? element('p', {class: 'quiet'}, `All runs: ${common.join(' · ')}`) : null, table('Measured', headers, rows)];
}

function columnOf({label, shown_unit: unit}) {
  return unit ? `${label} (${unit})` : label;
}

function numberOf(run, column) {
  return (run.numbers ?? []).find((number) => columnOf(number) === column);
}

/** The runs with the best value among at least two that can be compared: valid, and of the same kind. */
function bestOf(runs, column) {
  const comparable = groupedBy(runs.filter((run) => {
    const number = numberOf(run, column);
    return run.valid === true && number?.better && number.value !== null && number.short !== '--';
  }), (run) => JSON.stringify([run.benchmark, run.what, run.course?.target]));
  const best = new Set();
  for (const alike of comparable.values()) {
    const values = alike.map((run) => numberOf(run, column).value);
    const found = numberOf(alike[0], column).better === 'low' ? Math.min(...values) : Math.max(...values);
    if (new Set(values).size > 1) alike.filter((_, index) => values[index] === found).forEach((run) => best.add(run.key));
  }
  return best;
}

function differences(caption, headers, named) {
  const labels = union(named.map(Object.keys)).filter((label) => new Set(named.map((values) => JSON.stringify(values[label]))).size > 1);
  if (!labels.length) return element('p', {class: 'quiet'}, `${caption}: none.`);
  return table(caption, headers(), labels.map((label) => [label, ...named.map((values) => plain(values[label], label))]), {class: 'wordy settings', sortable: false});
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

function legend(runs) {
  return element('ul', {class: 'legend'}, runs.map(({run, look}) => element('li', {title: run.name}, glyph(run, look), shortName(run),
    run.verdict === 'VALID' ? null : [' ', badge(run)])));
}

function subheading(run, look) {
  return element('h3', {}, glyph(run, look), badge(run), ' ', run.name);
}

/** A number as a column shows it. Its tooltip says whether it may be quoted, and the page holds the full value of result.json. */
function quoted(number, isBest) {
  if (!number) return '';
  return [element('span', {}, isBest ? [star('best'), ' '] : null, number.short),
    {'data-value': number.value, title: number.value === null ? number.text : `${number.text}; in full: ${number.value}`, class: isBest ? 'number best' : 'number'}];
}

/** A text with the number that it stands for. */
function full(shown, value) {
  return typeof value === 'number' ? [shown, {'data-value': value, title: String(value)}] : shown;
}

function fixed(value, decimals) {
  return typeof value === 'number' ? [value.toFixed(decimals), {'data-value': value, title: String(value)}] : text(value);
}

/** A recorded value: bytes as GiB, fractions rounded. */
function plain(value, label) {
  if (typeof value !== 'number') return text(value);
  if (label.endsWith('_bytes') && value >= 2 ** 20) return full(`${rounded(value / 2 ** 30)} GiB`, value);
  return Number.isInteger(value) ? text(value) : full(rounded(value), value);
}

function text(value) {
  return value === null || value === undefined ? '' : String(value);
}

function groupedBy(values, keyOf) {
  const groups = new Map();
  for (const value of values) groups.set(keyOf(value), [...(groups.get(keyOf(value)) ?? []), value]);
  return groups;
}

function union(lists) {
  return [...new Set(lists.flat())];
}

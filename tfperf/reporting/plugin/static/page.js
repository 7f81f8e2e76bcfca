// The tfperf page: the list of runs on the left, and the chosen runs beside it. TensorBoard calls `render`.

import {drawCurves, drawLatencies, drawMachine, drawPrecision, drawQuality, isDark} from './charts.js';
import {element} from './elements.js';
import {MOST, freeLook} from './glyphs.js';
import {countEndings, entry, grouped} from './list.js';
import {comparison, compliance, detections, latencies, loads, machine, quality, sweeps, usage, verdicts} from './sections.js';

const EVERY_MS = 5000;
const REMEMBERED = 'tfperf.chosen';

const state = {
  runs: [], logdirs: [], command: '', answered: false,
  looks: new Map(),  // the chosen runs by key, each with its look
  details: new Map(), manifests: new Map(), filter: '', endings: new Set(), opened: new Set(), drawn: '', listed: '',
};
const places = {};

/** Builds the page and keeps it up to date with the run directories. */
export function render() {
  document.documentElement.lang = 'en';
  document.title = 'tfperf';
  document.head.append(element('meta', {name: 'viewport', content: 'width=device-width, initial-scale=1'}),
    element('link', {rel: 'stylesheet', href: 'style.css'}));
  places.filter = element('input', {type: 'search', id: 'filter', placeholder: 'name, benchmark, verdict, date', oninput: () => { state.filter = places.filter.value; list(); }});
  places.endings = element('div', {class: 'buttons endings', role: 'group', 'aria-label': 'How the runs ended'});
  places.list = element('ul', {class: 'runs', id: 'runs'});
  places.status = element('p', {class: 'quiet', role: 'status', 'aria-live': 'polite'}, 'Looking for runs …');
  places.content = element('main', {id: 'content', tabindex: -1});
  document.body.append(
    element('a', {class: 'skip', href: '#content', onclick: (event) => { event.preventDefault(); places.content.focus(); }}, 'Skip the list of runs'),
    element('nav', {'aria-label': 'Runs'}, element('h1', {}, 'tfperf'),
      element('label', {for: 'filter'}, 'Filter'), places.filter, places.endings,
      element('div', {class: 'buttons'}, element('button', {type: 'button', onclick: chooseShown}, 'Choose shown'),
        element('button', {type: 'button', onclick: () => choose([])}, 'Choose none')),
      places.status, places.list),
    places.content);
  take(remembered());
  followTheme();
  follow();
}

async function follow() {
  if (!document.hidden) {
    try {
      await refresh();
    } catch (error) {
      places.status.textContent = `TensorBoard does not answer: ${error.message}`;
    }
  }
  setTimeout(follow, EVERY_MS);
}

async function refresh() {
  const first = !state.runs.length;
  Object.assign(state, await get('runs'), {answered: true});
  if (first && !chosen().length && state.runs.length) take([state.runs.find((run) => run.sweep === null)?.key ?? state.runs[0].key]);
  list();
  await show();
}

/** The list. It is rebuilt only when it changes, so that the keyboard focus stays where it is. */
function list() {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = grouped(state.runs, {words, endings: state.endings, opened: state.opened});
  const count = shown.reduce((sum, {trials}) => sum + 1 + trials.length, 0);
  places.status.textContent = state.runs.length ? `${count} of ${state.runs.length} runs, ${chosen().length} chosen` : 'No runs yet.';
  document.body.classList.toggle('without-runs', !state.runs.length);
  const listed = JSON.stringify([shown, [...state.looks], [...state.endings]]);
  if (listed === state.listed) return;
  state.listed = listed;
  const focused = document.activeElement?.id;
  const look = (key) => state.looks.get(key);
  places.list.replaceChildren(...shown.map((each) => entry(each, {look, toggle, fold})));
  places.endings.replaceChildren(...countEndings(state.runs).map(([ending, number]) => element('button', {
    type: 'button', class: 'small', id: `ending-${ending}`, 'aria-pressed': String(state.endings.has(ending)), onclick: () => toggleEnding(ending)}, `${ending} ${number}`)));
  if (focused) document.getElementById(focused)?.focus();
}

function toggleEnding(ending) {
  if (!state.endings.delete(ending)) state.endings.add(ending);
  list();
}

function fold(key) {
  if (!state.opened.delete(key)) state.opened.add(key);
  list();
}

/** The sections of the chosen runs. They are rebuilt only when a run changes. */
async function show() {
  const keys = chosen();
  const found = await Promise.all(keys.map((key) => get(`run?key=${encodeURIComponent(key)}`).catch((error) => failed(key, error))));
  if (keys.join() !== chosen().join()) return;  // the choice has changed meanwhile
  const runs = found.map((run) => ({run: {...run, started_s: known(run.key)?.started_s ?? run.started_s}, look: state.looks.get(run.key)}));
  const drawn = JSON.stringify([runs, isDark(), state.logdirs, state.answered && !state.runs.length]);
  if (drawn === state.drawn) return;
  state.drawn = drawn;
  const folded = new Map([...places.content.querySelectorAll('details')].map((each) => [each.id, each.open]));
  const sections = [verdicts, (all) => quality(all, drawQuality), (all) => detections(all, drawPrecision), (all) => latencies(all, drawLatencies), (all) => loads(all, drawCurves), (all) => usage(all, drawMachine), (all) => sweeps(all, {trials, choose: add}), comparison, (all) => compliance(all, manifest), machine];
  places.content.replaceChildren(...(runs.length ? sections.map((make) => make(runs)).filter(Boolean) : [nothing()]));
  for (const each of places.content.querySelectorAll('details')) each.open = folded.get(each.id) ?? each.open;
}

/** What the page says without a chosen run. */
function nothing() {
  if (state.runs.length) return element('p', {class: 'quiet'}, 'Choose a run in the list; choose several to compare them.');
  return element('section', {class: 'empty'}, element('h2', {}, 'No tfperf runs yet'),
    element('p', {}, state.logdirs.length > 1 ? 'TensorBoard looks for runs in and below these directories:' : 'TensorBoard looks for runs in and below this directory:'),
    state.logdirs.map((logdir) => element('pre', {}, logdir)),
    element('p', {}, 'This command trains for about a minute and writes a run there:'), element('pre', {}, state.command),
    element('p', {}, 'In existing Keras code, add ', element('code', {}, 'tfperf.MLPerfCallback(log_dir=...)'), ' to the callbacks of ', element('code', {}, 'fit'),
      ', with a directory below it. If your runs are elsewhere, start TensorBoard with ', element('code', {}, '--logdir'), ' and that directory. A run appears here as soon as it begins.'));
}

/** The run of a trial of a sweep: the one that it made, or that its directory is. */
function trials(sweep, name) {
  return state.runs.find((run) => run.sweep === sweep && run.trial === name);
}

function toggle(key) {
  choose(chosen().includes(key) ? chosen().filter((each) => each !== key) : [...chosen(), key]);
}

function add(key) {
  if (!chosen().includes(key)) choose([...chosen(), key]);
  window.scrollTo({top: 0});
}

function chooseShown() {
  choose([...places.list.querySelectorAll('input')].map((box) => box.id.slice('run-'.length)));
}

function choose(keys) {
  take(keys);
  sessionStorage.setItem(REMEMBERED, JSON.stringify([...state.looks.keys()]));
  list();
  if (keys.length > MOST) places.status.textContent = `At most ${MOST} runs are shown together; these are the last of ${keys.length}.`;
  show().catch((error) => { places.status.textContent = `TensorBoard does not answer: ${error.message}`; });
}

/** Makes these the chosen runs. A run that was chosen before keeps its look. */
function take(keys) {
  const before = state.looks;
  state.looks = new Map(keys.slice(-MOST).map((key) => [key, before.get(key)]));
  for (const [key, look] of state.looks) if (look === undefined) state.looks.set(key, freeLook(state.looks.values()));
}

/** The keys of the chosen runs that are there. */
function chosen() {
  return [...state.looks.keys()].filter(known);
}

function remembered() {
  try {
    const keys = JSON.parse(sessionStorage.getItem(REMEMBERED) ?? '[]');
    return Array.isArray(keys) ? keys.filter((key) => typeof key === 'string') : [];
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return [];
  }
}

/** Reading every file of a run takes time, so it is done once for each state of the run. */
function manifest(run) {
  const seen = JSON.stringify([run.key, run.line, run.numbers]);
  if (!state.manifests.has(seen)) {
    state.manifests.set(seen, get(`manifest?key=${encodeURIComponent(run.key)}`)
      .catch((error) => ({state: 'unknown', text: 'the files are as they were when the manifest was written', because: error.message})));
  }
  return state.manifests.get(seen);
}

function failed(key, error) {
  return {...known(key), verdict: 'UNREADABLE', line: "can't be shown", reasons: [error.message]};
}

function known(key) {
  return state.runs.find((run) => run.key === key);
}

async function get(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${answer.status} for ${address}`);
  return answer.json();
}

function followTheme() {
  const apply = () => {
    const theme = isDark() ? 'dark' : 'light';
    if (document.documentElement.dataset.theme === theme) return;
    document.documentElement.dataset.theme = theme;
    if (state.runs.length) show();
  };
  apply();
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', apply);
  if (window.parent !== window) new MutationObserver(apply).observe(window.parent.document.body, {attributes: true, attributeFilter: ['class']});
}

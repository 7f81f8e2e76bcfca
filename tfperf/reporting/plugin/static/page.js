// The tfperf page: the list of runs on the left, and the chosen runs beside it. TensorBoard calls `render`.

import {drawLatencies, drawQuality, isDark} from './charts.js';
import {badge, element} from './elements.js';
import {comparison, compliance, latencies, machine, quality, sweeps, verdicts} from './sections.js';

const EVERY_MS = 5000;
const MOST_CHOSEN = 24;
const REMEMBERED = 'tfperf.chosen';
const COLOURS = ['#4477aa', '#ee6677', '#228833', '#ccbb44', '#66ccee', '#aa3377', '#997700', '#999999'];

const state = {runs: [], chosen: [], details: new Map(), manifests: new Map(), filter: '', drawn: '', listed: ''};
const places = {};

/** Builds the page and keeps it up to date with the run directories. */
export function render() {
  document.documentElement.lang = 'en';
  document.title = 'tfperf';
  document.head.append(element('meta', {name: 'viewport', content: 'width=device-width, initial-scale=1'}),
    element('link', {rel: 'stylesheet', href: 'style.css'}));
  places.filter = element('input', {type: 'search', id: 'filter', placeholder: 'name, benchmark, verdict', oninput: () => { state.filter = places.filter.value; list(); }});
  places.list = element('ul', {class: 'runs', id: 'runs'});
  places.status = element('p', {class: 'quiet', role: 'status', 'aria-live': 'polite'}, 'Looking for runs …');
  places.content = element('main', {id: 'content', tabindex: -1});
  document.body.append(
    element('a', {class: 'skip', href: '#content', onclick: (event) => { event.preventDefault(); places.content.focus(); }}, 'Skip the list of runs'),
    element('nav', {'aria-label': 'Runs'}, element('h1', {}, 'tfperf'),
      element('label', {for: 'filter'}, 'Filter'), places.filter,
      element('div', {class: 'buttons'}, element('button', {type: 'button', onclick: chooseShown}, 'Choose shown'),
        element('button', {type: 'button', onclick: () => choose([])}, 'Choose none')),
      places.status, places.list),
    places.content);
  state.chosen = remembered();
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
  state.runs = (await get('runs')).runs;
  if (first && !state.chosen.some((key) => known(key)) && state.runs.length) state.chosen = [state.runs[0].key];
  list();
  await show();
}

/** The list. It is rebuilt only when it changes, so that the keyboard focus stays where it is. */
function list() {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = state.runs.filter((run) => {
    const text = [run.name, run.benchmark, run.verdict, run.what, run.division].join(' ').toLowerCase();
    return words.every((word) => text.includes(word));
  });
  places.status.textContent = state.runs.length ? `${shown.length} of ${state.runs.length} runs, ${state.chosen.length} chosen` : 'There are no tfperf runs below the logdir.';
  const listed = JSON.stringify([shown, state.chosen]);
  if (listed === state.listed) return;
  state.listed = listed;
  const focused = document.activeElement?.id;
  places.list.replaceChildren(...shown.map(line));
  if (focused) document.getElementById(focused)?.focus();
}

function line(run) {
  const id = `run-${run.key}`;
  const chosen = state.chosen.indexOf(run.key);
  const box = element('input', {type: 'checkbox', id, checked: chosen >= 0, onchange: () => toggle(run.key)});
  return element('li', {class: run.verdict.toLowerCase()}, box, element('label', {for: id},
    element('span', {class: 'swatch', style: chosen >= 0 ? `background:${colour(chosen)}` : ''}), badge(run),
    element('span', {class: 'name'}, run.name),
    element('span', {class: 'quiet'}, [run.benchmark, run.what, run.division, run.number].filter((part) => part && part !== '--').join(' · '))));
}

/** The sections of the chosen runs. They are rebuilt only when a run changes. */
async function show() {
  const keys = state.chosen.filter(known);
  const found = await Promise.all(keys.map((key) => get(`run?key=${encodeURIComponent(key)}`).catch((error) => failed(key, error))));
  if (keys.join() !== state.chosen.filter(known).join()) return;  // the choice has changed meanwhile
  const runs = found.map((run, index) => ({run, colour: colour(index)}));
  const drawn = JSON.stringify([runs, isDark()]);
  if (drawn === state.drawn) return;
  state.drawn = drawn;
  const open = new Set([...document.querySelectorAll('section details[open]')].map((each) => each.parentElement.id));
  const sections = [verdicts, (all) => quality(all, drawQuality), (all) => latencies(all, drawLatencies), sweeps, comparison, (all) => compliance(all, manifest), machine];
  places.content.replaceChildren(...(runs.length ? sections.map((make) => make(runs)).filter(Boolean) : [element('p', {class: 'quiet'}, 'Choose a run in the list; choose several to compare them.')]));
  for (const id of open) document.querySelector(`#${id} details`)?.setAttribute('open', '');
}

function toggle(key) {
  choose(state.chosen.includes(key) ? state.chosen.filter((each) => each !== key) : [...state.chosen, key]);
}

function chooseShown() {
  choose([...places.list.querySelectorAll('input')].map((box) => box.id.slice('run-'.length)));
}

function choose(keys) {
  state.chosen = keys.slice(-MOST_CHOSEN);
  sessionStorage.setItem(REMEMBERED, JSON.stringify(state.chosen));
  list();
  if (keys.length > MOST_CHOSEN) places.status.textContent = `At most ${MOST_CHOSEN} runs are shown together; these are the last of ${keys.length}.`;
  show().catch((error) => { places.status.textContent = `TensorBoard does not answer: ${error.message}`; });
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

function colour(index) {
  return COLOURS[index % COLOURS.length];
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

// The list of runs: newest first, the trials of a sweep within it, with a filter.

import {badge, element, ending, star, when} from './elements.js';
import {glyph} from './glyphs.js';
import {trialName} from './names.js';

/**
 * The runs that pass the filter, as {run, trials, open}: every run that no sweep made, and within a sweep its trials.
 * `words` must all be found, and one of `endings` if there are any. A sweep is shown if it or a trial passes.
 */
export function grouped(runs, {words, endings, opened}) {
  const passes = (run) => words.every((word) => finds(run, word)) && (!endings.size || endings.has(endingOf(run)));
  const trials = new Map(runs.filter((run) => run.kind === 'sweep').map((run) => [run.key, []]));
  for (const run of runs) trials.get(run.sweep)?.push(run);
  const filtered = words.length > 0 || endings.size > 0;
  const inSweeps = new Set([...trials.values()].flat());
  return runs.filter((run) => !inSweeps.has(run)).flatMap((run) => {
    const own = (trials.get(run.key) ?? []).sort((one, other) => one.trial.localeCompare(other.trial, undefined, {numeric: true}));
    const found = filtered ? own.filter(passes) : own;
    if (!passes(run) && !found.length) return [];
    return [{run, trials: filtered && found.length ? found : own, open: opened.has(run.key) || (filtered && found.length > 0)}];
  });
}

/** How many runs ended in each way. */
export function countEndings(runs) {
  const counts = new Map();
  for (const run of runs) counts.set(endingOf(run), (counts.get(endingOf(run)) ?? 0) + 1);
  return [...counts].sort(([one], [other]) => one.localeCompare(other));
}

/** An entry of the list. `look` gives the look of a chosen run. */
export function entry({run, trials, open}, {look, toggle, fold}) {
  const nested = trials.length ? [
    element('button', {type: 'button', class: 'small fold', id: `fold-${run.key}`, 'aria-expanded': String(open), onclick: () => fold(run.key)},
      `${trials.length} ${trials.length === 1 ? 'run' : 'runs'} of this sweep`),
    open ? element('ul', {class: 'trials'}, trials.map((trial) => element('li', {class: trial.verdict.toLowerCase()}, line(trial, {
      look, toggle, name: [run.best !== null && trial.trial === run.best ? [star('best trial'), ' '] : null, trialName(trial)],
    })))) : null,
  ] : null;
  return element('li', {class: run.verdict.toLowerCase()}, line(run, {look, toggle, name: run.name}), nested);
}

function line(run, {look, toggle, name}) {
  const id = `run-${run.key}`;
  const chosen = look(run.key);
  const about = [run.benchmark, run.what, run.division, run.number].filter((part) => part && part !== '--').join(' · ');
  const began = when(run.started_s);
  return element('div', {class: 'line'},
    element('input', {type: 'checkbox', id, checked: chosen !== undefined, onchange: () => toggle(run.key)}),
    element('label', {for: id, title: run.name},
      element('span', {class: 'name'}, glyph(run, chosen), name),
      element('span', {class: 'marks'}, badge(run), ending(run)),
      about || began ? element('span', {class: 'quiet'}, began, began && about ? ' · ' : null, about) : null));
}

/** Verdicts and endings are found by their beginning, so that "valid" does not find INVALID; names by any part. */
function finds(run, word) {
  const words = [run.verdict, endingOf(run), run.what, run.division].join(' ').toLowerCase().split(/\s+/);
  const text = [run.name, run.benchmark, when(run.started_s)?.textContent].join(' ').toLowerCase();
  return words.some((each) => each.startsWith(word)) || text.includes(word);
}

function endingOf(run) {
  return run.ending || run.verdict.toLowerCase();
}

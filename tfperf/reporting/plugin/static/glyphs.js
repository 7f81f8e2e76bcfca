// How a run looks in the list, on its card and in the charts: eight colours, each in three shapes.

import {element} from './elements.js';

export const MOST = 24;
export const COLOURS = 8;

const SHAPES = ['circle', 'square', 'diamond'];
const DASHES = ['solid', 'dash', 'dashdot'];

/** The lowest look that no other chosen run has, so that a run keeps its look while others come and go. */
export function freeLook(taken) {
  const used = new Set(taken);
  let look = 0;
  while (used.has(look)) look += 1;
  return look;
}

/** The mark of a run. An internal run's is hollow. */
export function glyph(run, look) {
  if (look === undefined) return element('span', {class: 'glyph none'});
  return element('span', {class: `glyph ${shape(look)}${isInternal(run) ? ' hollow' : ''}`, style: `--colour: var(${colourName(look)})`});
}

/** The colour, line and marker of a run in plotly's words. */
export function traceStyle(run, look) {
  const colour = getComputedStyle(document.documentElement).getPropertyValue(colourName(look)).trim();
  const internal = isInternal(run);
  return {
    colour, symbol: `${shape(look)}${internal ? '-open' : ''}`,
    dash: internal ? 'dot' : DASHES[Math.floor(look / COLOURS) % DASHES.length],
  };
}

function isInternal(run) {
  return run.division === 'internal';
}

function shape(look) {
  return SHAPES[Math.floor(look / COLOURS) % SHAPES.length];
}

function colourName(look) {
  return `--run-${look % COLOURS}`;
}

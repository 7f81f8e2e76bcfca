// The charts, drawn by the plotly that is installed with TensorBoard. It is loaded for the first chart.

import {COLOURS, MOST, traceStyle} from './glyphs.js';

let loading = null;

function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = new URL('plotly.min.js', document.baseURI);
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => { loading = null; reject(new Error('plotly.min.js could not be loaded; is plotly installed?')); };
    document.head.append(script);
  });
  return loading;
}

/**
 * Draws quality over seconds on the clock: one line per run, its target, and a star where it crossed the target.
 * The runs have the same metric, since a loss and an accuracy share no axis.
 */
export function drawQuality(target, runs) {
  const traces = [];
  const shapes = [];
  const targets = new Set();
  for (const {run, look} of runs) {
    const {colour} = traceStyle(run, look);
    const points = run.course.points;
    traces.push({
      ...styled(run, look), mode: 'lines+markers', x: points.map((point) => point.seconds),
      y: points.map((point) => point.value), customdata: points.map((point) => plain(point.epoch)),
      hovertemplate: `%{y} after %{x:.2f} s, ${run.course.unit} %{customdata}<extra></extra>`,
    });
    if (run.course.crossed) {
      traces.push({
        type: 'scatter', mode: 'markers',
        x: [run.course.crossed.seconds], y: [run.course.crossed.value],
        marker: {symbol: 'star', size: 18, color: colour, line: {width: 1.5, color: theme().ink}},
        hovertemplate: 'target crossed after %{x:.2f} s<extra></extra>',
      });
    }
    if (run.course.target !== null) targets.add(run.course.target);
  }
  const annotations = [];
  const metric = runs[0].run.course.metric;
  for (const value of targets) {
    shapes.push({type: 'line', xref: 'paper', x0: 0, x1: 1, y0: value, y1: value, line: {dash: 'dash', width: 1.5, color: theme().ink}});
    annotations.push({xref: 'paper', x: 0, y: value, xanchor: 'left', yanchor: 'bottom', showarrow: false, text: plain(`target: ${metric} ${rounded(value)}`)});
  }
  return draw(target, traces, {
    shapes, annotations,
    xaxis: {title: {text: 'time on the clock (s)'}, rangemode: 'tozero'},
    yaxis: {title: {text: plain(metric)}, hoverformat: '.4f'},
  });
}

/** Draws the share of queries answered within each latency, and the bounds of Server runs. */
export function drawLatencies(target, runs) {
  const traces = [];
  const shapes = [];
  const annotations = [];
  for (const {run, look} of runs) {
    const {colour, symbol} = traceStyle(run, look);
    traces.push({
      ...styled(run, look), mode: 'lines', x: run.distribution.map(([latency]) => latency),
      y: run.distribution.map(([, share]) => share),
      hovertemplate: '%{y:.1%} within %{x:.4g} ms<extra></extra>',
    });
    const marked = run.latency_ms.filter((point) => point.share < 1);
    traces.push({
      type: 'scatter', mode: 'markers',
      x: marked.map((point) => point.latency_ms), y: marked.map((point) => point.share), text: marked.map((point) => plain(point.name)),
      marker: {symbol, size: 9, color: colour, line: {width: 1, color: symbol.endsWith('-open') ? colour : theme().ink}},
      hovertemplate: "LoadGen's %{text}: %{x:.4g} ms<extra></extra>",
    });
    if (run.bound) {
      shapes.push({type: 'line', x0: run.bound.latency_ms, x1: run.bound.latency_ms, yref: 'paper', y0: 0, y1: 1, line: {dash: 'dash', width: 1.5, color: theme().ink}});
      annotations.push({x: Math.log10(run.bound.latency_ms), yref: 'paper', y: 0, xanchor: 'right', yanchor: 'bottom', showarrow: false, text: plain(`bound: ${rounded(run.bound.latency_ms)} ms for ${rounded(100 * run.bound.share)} %`)});
    }
  }
  return draw(target, traces, {
    shapes, annotations,
    xaxis: {title: {text: 'latency (ms), logarithmic'}, type: 'log'},
    yaxis: {title: {text: 'share of queries within it'}, range: [0, 1.02], tickformat: '.0%'},
  });
}

/** Draws the precision of each class of one run at each recall, with the name of the class at the end of its curve. */
export function drawPrecision(target, curves) {
  const traces = curves.map(({name, total, points}, index) => {
    const reached = points.filter(([, precision]) => precision > 0);
    const named = plain(name);
    return {
      type: 'scatter', mode: 'lines', name: named, x: reached.map(([recall]) => recall), y: reached.map(([, precision]) => precision),
      line: {...lineOf(index), width: 2},
      hovertemplate: `${named} (${total}): precision %{y:.3f} at recall %{x:.2f}<extra></extra>`,
    };
  });
  return draw(target, traces, {
    xaxis: {title: {text: 'recall'}, range: [0, 1.02]}, yaxis: {title: {text: 'precision'}, range: [0, 1.05]},
    ...legendAbove(curves.length),
  });
}

/** Draws curves of an evaluation over a linear axis and a logarithmic one, with a bound if there is one. */
export function drawCurves(target, {x, y, bound, curves}) {
  const {ink} = theme();
  const traces = curves.map(({name, series, marked, points}) => ({
    type: 'scatter', mode: marked ? 'lines+markers' : 'lines', name: plain(name), connectgaps: false,
    x: points.map(([at]) => at), y: points.map(([, value]) => value), line: {...lineOf(series), width: 2}, marker: {size: 8},
    hovertemplate: `${plain(name)}: %{y:.4g} at %{x:.4g}<extra></extra>`,
  }));
  return draw(target, traces, {
    shapes: bound === null ? [] : [{type: 'line', xref: 'paper', x0: 0, x1: 1, y0: bound, y1: bound, line: {dash: 'dash', width: 1.5, color: ink}}],
    annotations: bound === null ? [] : [{xref: 'paper', x: 0, y: Math.log10(bound), xanchor: 'left', yanchor: 'bottom', showarrow: false, text: `bound: ${rounded(bound)}`}],
    xaxis: {title: {text: plain(x)}, rangemode: 'tozero'}, yaxis: {title: {text: plain(y)}, type: 'log'},
    ...legendAbove(curves.length),
  });
}

/** Draws the use of one run's machine in per cent, or its power in watts, over time, with the measured windows shaded. */
export function drawMachine(target, {seconds, series, windows}, unit) {
  const {faint, ink} = theme();
  const traces = series.filter((each) => each.unit === unit).map(({name, values}, index) => ({
    type: 'scatter', mode: 'lines', name: plain(name), x: seconds, y: values, line: {...lineOf(index), width: 1.5},
    hovertemplate: `${plain(name)}: %{y:.4g} ${unit} at %{x:.4g} s<extra></extra>`,
  }));
  return draw(target, traces, {
    shapes: windows.map(({from_s: x0, to_s: x1}) => ({type: 'rect', yref: 'paper', y0: 0, y1: 1, x0, x1, fillcolor: faint, opacity: 0.4, line: {width: 0}, layer: 'below'})),
    annotations: windows.slice(0, 12).map(({name, from_s: x}) => ({x, yref: 'paper', y: 1, xanchor: 'left', yanchor: 'top', showarrow: false, text: plain(name), font: {size: 11, color: ink}})),
    xaxis: {title: {text: 'seconds since the first reading'}, rangemode: 'tozero'},
    yaxis: {title: {text: unit === 'W' ? 'power (W)' : 'use (%)'}, rangemode: 'tozero'},
    ...legendAbove(traces.length),
  });
}

/** Whether the page is dark, as set in TensorBoard or else in the system. */
export function isDark() {
  try {
    const body = window.parent.document.body;
    if (window.parent !== window && body) return body.classList.contains('dark-mode');
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;  // embedded in a page of another origin, which can't be read
  }
  return window.matchMedia('(prefers-color-scheme: dark)').matches;
}

async function draw(target, traces, layout) {
  const {ink, faint} = theme();
  const axis = {gridcolor: faint, zerolinecolor: faint, linecolor: faint, automargin: true};
  const library = await plotly();
  if (!target.isConnected) return;
  await library.react(target, traces, {
    margin: {l: 60, r: 16, t: 16, b: 48}, showlegend: false,  // the page has a legend of its own
    ...layout,
    xaxis: {...axis, ...layout.xaxis}, yaxis: {...axis, ...layout.yaxis},
    font: {family: 'Roboto, sans-serif', size: 13, color: ink}, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    hovermode: 'closest',
  }, {responsive: true, displaylogo: false, displayModeBar: false, showSendToCloud: false});
}

/** The colour and the dashes of the curve with this number, where a chart is of one run. */
function lineOf(number) {
  const dashes = ['solid', 'dash', 'dot', 'dashdot'];
  const colour = getComputedStyle(document.documentElement).getPropertyValue(`--run-${number % COLOURS}`).trim();
  return {color: colour, dash: dashes[Math.floor(number / COLOURS) % dashes.length]};
}

/** A legend in the chart, unless it would be longer than the chart. */
function legendAbove(count) {
  return {showlegend: count <= MOST, legend: {orientation: 'h', y: 1.02, yanchor: 'bottom', x: 0}, margin: {l: 60, r: 16, t: 48, b: 56}};
}

function styled(run, look) {
  const {colour, symbol, dash} = traceStyle(run, look);
  return {type: 'scatter', line: {color: colour, width: 2, dash}, marker: {color: colour, symbol, size: 8}};
}

/** At most four significant digits, or as many as a whole number has. */
export function rounded(value) {
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(4)));
}

/** Escapes a text for plotly, which interprets some HTML. */
function plain(text) {
  return String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function theme() {
  const style = getComputedStyle(document.documentElement);
  return {ink: style.getPropertyValue('--ink').trim(), faint: style.getPropertyValue('--faint').trim()};
}

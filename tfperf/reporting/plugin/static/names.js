// Names of runs that are short enough for a chart or a column.

const LONGEST = 44;
const SHORTEST = 6;

/** The last part of a name, shortened in the middle; for a run of a sweep also the sweep's. */
export function shortName(run) {
  const name = run.trial ? [lastPart(run.sweep_name), trialName(run)].filter(Boolean).join(' ') : lastPart(run.name);
  return name.length > LONGEST ? `${name.slice(0, 24)}…${name.slice(-18)}` : name;
}

/** What a run is within its sweep. */
export function trialName(run) {
  return /^\d/.test(run.trial) ? `trial ${run.trial}` : run.trial;
}

/** The last part of a path; with the one above if it says little, as in `runs/1`. */
function lastPart(name) {
  const last = name.split('/').at(-1);
  return last.length < SHORTEST ? name.split('/').slice(-2).join('/') : last;
}

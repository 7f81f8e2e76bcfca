"""One training run, from what was asked for to what came out; and several, scored together."""

"""A training run from its spec to its result, and several runs scored together."""

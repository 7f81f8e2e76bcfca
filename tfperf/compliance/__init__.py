"""MLPerf's rules: what a config may hold, what a log must hold, and how results are handed in."""

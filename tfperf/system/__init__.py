"""The machine: its processors, its memory and caches, the other hosts, and the profiler."""

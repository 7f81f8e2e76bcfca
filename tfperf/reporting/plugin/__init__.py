"""The tfperf page in TensorBoard: of the chosen runs, what scalars can't show.

    tensorboard --logdir runs

The verdict comes first, with its reasons. Then quality over the time on the clock, the latencies of serving beside
their bound, the tables of the terminal, the runs side by side, what keeps them from the closed division and the
machine.

`plugin.Plugin` is what TensorBoard loads. It reads run directories through TensorBoard's own file access and event
files through its data provider, so the page works with every `--logdir` that TensorBoard itself can read. It writes
nothing. The browser gets JSON and builds the page from it in `static/`, where every text that comes from a run is set
as text and never as HTML.
"""

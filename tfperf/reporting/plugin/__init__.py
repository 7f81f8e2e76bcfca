"""The tfperf page in TensorBoard: shows what scalars can't about the chosen runs.

    tensorboard --logdir runs

The verdict comes first, with its reasons. Then come quality over the time on the clock, serving latencies with their
bound, the tables of the terminal, the runs side by side, what keeps them out of the closed division, and the machine.
The list beside them has the newest run first, with the trials of a sweep folded into it.

TensorBoard loads `plugin.Plugin`. It reads run directories through TensorBoard's file access and event files through
its data provider, so the page works with every `--logdir` that TensorBoard can read. It writes nothing. The code in
`static/` builds the page in the browser from JSON, and inserts every text from a run as text, never as HTML.
"""

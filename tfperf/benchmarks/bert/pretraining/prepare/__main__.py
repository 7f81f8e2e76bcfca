"""Makes the records of one text file: a worker of `record_process`."""

import signal
import sys

from tfperf.benchmarks.bert.pretraining.prepare import record_process

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback
    sys.exit(record_process.main())

"""What a recorded run says beyond LoadGen's own numbers: intervals, times, padding, drift, why it is INVALID."""

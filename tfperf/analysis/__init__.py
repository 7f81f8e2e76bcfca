"""What a recorded run says beyond LoadGen's own numbers, from arrays: intervals, splits, drift, why it is INVALID."""

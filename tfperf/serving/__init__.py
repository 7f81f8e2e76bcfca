"""One inference measurement: `measurement.infer` runs from the trained model to the result."""

"""One inference measurement, put together: `measurement.infer` runs from the model to the result, top to bottom."""

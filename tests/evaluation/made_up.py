"""A load of an evaluation as a result has it."""

from tfperf import result


def load(**changes) -> result.LoadPhase:
    """100 requests in a second at a constant rate, changed."""
    values = {
        "phase": "constant_rate",
        "load": "100 requests/s",
        "executable": "as_given",
        "batch_size": 1,
        "instances": 1,
        "issuer": "tfperf",
        "valid": True,
        "reasons": (),
        "status": "ended",
        "started_s": 0.0,
        "duration_s": 1.0,
        "requests": 100,
        "samples": 100,
        "mean_ns": 1000.0,
    }
    return result.LoadPhase(**{**values, **changes})

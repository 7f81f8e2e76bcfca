"""The profile of a measurement, taken before anything is measured."""

from __future__ import annotations

import functools

from tfperf.inference import profiled_form
from tfperf.inference.forms import machine
from tfperf.serving.inputs import Form, open_served
from tfperf.serving.prepared import Prepared


def profile(prepared: Prepared, form: Form) -> str:
    """Profiles the form that was chosen, opened as it will be measured; returns what is worth knowing of it."""
    prepared.shown.begin(f"profiling {form.executable}", measures=False)
    return profiled_form.take(
        form.executable,
        functools.partial(open_served, prepared.inputs, form),
        run_dir=prepared.run_dir,
        log=prepared.scratch / "profile.log",
        environment=machine.environment(form.executable, prepared.scratch / "xla"),
    )

"""The config of an evaluation: phases of load, read as strictly as any other."""

import pathlib

import pytest

import tfperf
from tfperf import config, spec
from tfperf.errors import ConfigError

EVERY_PHASE = """
measure: model
batch_size: 8
executable: [as_given, graph-bfloat16]
latency_bound_ms: 15
phases:
  - warm_up: {iterations: 20, until_steady: true}
  - singlestream: {min_duration_s: 2}
  - multistream: {samples_per_query: 4}
  - server: {target_qps: 100, latency_bound_ms: 15}
  - offline: {}
  - concurrency: {streams: [1, 2, 4], duration_s: 2}
  - constant_rate: {requests_per_s: [100, 200.5], poisson: true}
  - ramp_up: {from_requests_per_s: 0, to_requests_per_s: 100}
  - ramp_up: {from_streams: 1, to_streams: 8, duration_s: 5}
  - sustained: {share_of_peak: 0.5, duration_s: 60}
  - spike: {requests_per_s: 10, spike_requests_per_s: 100}
  - replay: {file: arrivals.txt, speed: 2}
"""


def load(folder: pathlib.Path, *overrides: str, text: str = EVERY_PHASE) -> spec.EvaluateSpec:
    (folder / "evaluate.yaml").write_text(text, encoding="utf-8")
    found = tfperf.load_config(str(folder / "evaluate.yaml"), overrides=overrides)
    assert isinstance(found, spec.EvaluateSpec)
    return found


def test_a_config_with_phases_is_an_evaluation_and_its_resolved_form_repeats_it(tmp_path: pathlib.Path) -> None:
    found = load(tmp_path)
    assert found.batch_size == (8,)  # one value stands for a list of one
    assert found.phases[1] == spec.SingleStreamLoad(min_duration_s=2)
    assert found.phases[6] == spec.ConstantRate(requests_per_s=(100.0, 200.5), poisson=True)
    assert config.verb(str(tmp_path / "evaluate.yaml")) == "evaluate"
    assert load(tmp_path, text=config.dump(found)) == found
    assert load(tmp_path, "threads=null", "device=gpu:2").device == ("gpu:2",)
    assert load(tmp_path, "threads=[null, 2]").threads == (None, 2)


@pytest.mark.parametrize(
    ("overrides", "messages"),
    [
        (
            ("phases=[{concurrency: {streams: [0]}}, {nope: {}}, {offline: {min_duration: 1}}]",),
            (
                "phases[0].concurrency.streams must be one whole number or more, each from 1 to 1024, got (0,).",
                "phases[1].nope: unknown key. Accepted: warm_up, singlestream, multistream, server, offline, "
                "concurrency, constant_rate, ramp_up, sustained, spike, replay.",
                "phases[2].offline.min_duration: unknown key. Did you mean min_duration_s? Accepted: min_duration_s.",
            ),
        ),
        (
            ("device=[cpu, tpu]", "threads=[1, 0]", "repeats=0"),
            (
                "threads must be whole numbers above 0 or null, each once, got (1, 0).",
                "device must be auto, cpu, cpu:N, gpu or gpu:N, each once, got ('cpu', 'tpu').",
                "repeats must be 1 to 100, got 0.",
            ),
        ),
        (
            ("phases=[{sustained: {}}]", "measure=pipeline", "executable=[auto, as_given]", "division=open"),
            (
                "batch_size must be left out with measure: pipeline, where a request is one batch of the data as it "
                "was made, got (8,).",
                "executable must be auto alone, or forms by name, got ('auto', 'as_given').",
                "division must be internal, which may be left out: it is no MLPerf result, got 'open'.",
                "phases[0] must be after offline or concurrency, which measure the peak that it takes a share of, got "
                "'sustained'.",
            ),
        ),
        (
            ("phases=[{warm_up: {}}]",),
            ("phases must be one phase or more that measures: a warm_up alone measures nothing, got ['warm_up'].",),
        ),
        (
            ("phases=[{spike: {requests_per_s: 1, spike_requests_per_s: 2, duration_s: 15}}]",),
            ("phases[0].spike.duration_s must be longer than spike_after_s + spike_s = 15, got 15.0.",),
        ),
    ],
)
def test_all_that_is_wrong_is_reported_together(
    tmp_path: pathlib.Path, overrides: tuple[str, ...], messages: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, *overrides)
    assert raised.value.violations == messages


@pytest.mark.parametrize("given", ["{}", "{from_streams: 1}", "{from_streams: 1, to_streams: 2, to_requests_per_s: 3}"])
def test_a_ramp_is_of_rates_or_of_streams(tmp_path: pathlib.Path, given: str) -> None:
    with pytest.raises(ConfigError, match="from_requests_per_s and to_requests_per_s, or from_streams and to_streams"):
        load(tmp_path, f"phases=[{{ramp_up: {given}}}]")

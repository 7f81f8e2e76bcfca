#!/usr/bin/env python3
"""Measures what serving samples at their own lengths is worth: Offline samples/s under LoadGen, with and without.

    tools/bench_lengths.py --data_dir SQUAD [--eval_file dev-v1.1.json] [--form graph-float32] [--layers 4]
                           [--width 256] [--samples 512] [--rounds 3] [--seconds 5] [--threads 2]

The model is BERT's encoder with SQuAD's head and random weights. --data_dir holds `vocab.txt` and the questions, a file
of SQuAD v1.1. One run sorts their windows into the benchmark's lengths, the other pads all to the longest; both
use the same form and, at each length, the batch size that is fastest. Compared runs alternate, each in its own process,
and the medians over the rounds count.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import multiprocessing
import pathlib
import statistics
import tempfile
from collections.abc import Callable, Sequence

from tfperf import loadgen_log, spec
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.squad import serving
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.bert.squad.sources import SquadFiles
from tfperf.inference import forms, objective, process
from tfperf.inference.forms import machine
from tfperf.inference.job import Job, ServedModel, Settings
from tfperf.system import devices

_HEAD_WIDTH = 64
_GOAL = 1.8


@dataclasses.dataclass(frozen=True, kw_only=True)
class LengthRates:
    """Samples per second in Offline, one figure for each round.

    Attributes:
        by_length: each sample padded to the next longer of the lengths.
        all_padded: every sample padded to the longest.
    """

    by_length: tuple[float, ...]
    all_padded: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The median over the rounds of the one divided by the other: what slows one round slows both."""
        return statistics.median(ours / padded for ours, padded in zip(self.by_length, self.all_padded, strict=True))


def offline_rates(
    open_served: Callable[[tuple[int, ...]], Callable[[], ServedModel]],
    lengths: Sequence[int],
    *,
    loadgen_model: str,
    samples: int,
    folder: pathlib.Path,
    rounds: int = 3,
    seconds: float = 5.0,
) -> LengthRates:
    """Measures a model under LoadGen in Offline with buckets of these lengths, and with the longest alone.

    Args:
        open_served: lengths -> a picklable function that opens the model, compiled for these, in a fresh process.
        lengths: the lengths, ascending.
        loadgen_model: the model's name in LoadGen's `mlperf.conf`.
        samples: samples in memory, the first ones. Each run answers at least twice as many, so that every length has
            its share.
        folder: a directory for LoadGen's logs.
        rounds: rounds of one run each.
        seconds: shortest time of each run.

    Raises:
        RuntimeError: a run did not end.
    """
    rates: dict[tuple[int, ...], list[float]] = {tuple(lengths): [], (lengths[-1],): []}
    for number in range(rounds):
        for chosen, found in rates.items():
            log_dir = folder / f"{len(chosen)}-lengths-{number}"
            settings = Settings(
                loadgen_model=loadgen_model,
                scenario="Offline",
                mode="performance",
                min_duration_s=seconds,
                performance_samples=samples,
                min_queries=2 * samples,
            )
            run = process.run(Job(settings=settings, open=open_served(chosen), log_dir=log_dir))
            if run.status != "ended":
                raise RuntimeError(f"The run in {log_dir} is {run.status}: {run.failure}")
            found.append(float(loadgen_log.read(log_dir).values["result_samples_per_second"]))
    by_length, all_padded = rates.values()
    return LengthRates(by_length=tuple(by_length), all_padded=tuple(all_padded))


def main() -> None:
    """Measures, prints a table for people and, as the last line, a JSON object for programs."""
    arguments = _arguments()
    options = SquadOptions(
        encoder=Encoder(
            hidden_size=arguments.width,
            layers=arguments.layers,
            heads=max(1, arguments.width // _HEAD_WIDTH),
            intermediate_size=4 * arguments.width,
        )
    )
    print(json.dumps({"name": "lengths", "ratios": ratios(arguments, options)}))


def ratios(arguments: argparse.Namespace, options: SquadOptions) -> dict[str, dict[str, object]]:
    """What batches by length are worth on a network of these options; prints the rates."""
    data = spec.Data(source=SquadFiles(eval_file=arguments.eval_file))
    with tempfile.TemporaryDirectory(prefix="bench-lengths-") as scratch:
        folder = pathlib.Path(scratch)
        building = multiprocessing.get_context("spawn").Process(
            target=_build, args=(arguments.form, options, folder / "form")
        )
        building.start()
        building.join()
        if building.exitcode:
            raise SystemExit(f"{arguments.form} could not be built; see above.")

        def open_served(lengths: tuple[int, ...]) -> Callable[[], ServedModel]:
            return functools.partial(
                _opened, arguments.form, folder / "form", lengths, arguments.threads, data, options, arguments.data_dir
            )

        found = offline_rates(
            open_served,
            serving.LENGTHS,
            loadgen_model=serving.BERT_99.loadgen_model,
            samples=arguments.samples,
            folder=folder,
            rounds=arguments.rounds,
            seconds=arguments.seconds,
        )
    for what, rates in (("by length", found.by_length), ("all padded", found.all_padded)):
        print(f"{what:12s}" + "".join(f"{rate:10.4g}" for rate in rates) + "  samples/s")
    what = f"Offline samples/s of {arguments.form}, windows at their lengths / padded to {serving.LENGTHS[-1]}"
    return {what: {"value": round(found.ratio, 4), "goal": f">= {_GOAL}"}}


def _build(form: str, options: SquadOptions, path: pathlib.Path) -> None:
    """Writes the form of a network with random weights."""
    import keras

    keras.utils.set_random_seed(0)
    task = serving.BERT_99
    forms.build(form, task.build_model(options), path, inputs=task.inputs(options), outputs=task.outputs(options))


def _opened(
    form: str,
    path: pathlib.Path,
    lengths: tuple[int, ...],
    threads: int,
    data: spec.Data,
    options: SquadOptions,
    data_dir: pathlib.Path,
) -> ServedModel:
    machine.set_up(threads=threads)
    buckets = objective.buckets_for(spec.Offline(), lengths=lengths, batch_sizes=(1, 4, 16))
    executable = forms.open_form(form, path, buckets=buckets, threads=threads)
    samples = serving.BERT_99.open_samples(data, options, data_dir)
    return ServedModel(
        executable=executable,
        total=samples.total,
        load=samples.load,
        respond=serving.BERT_99.responder(samples),
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=pathlib.Path, required=True, help="holds the questions and vocab.txt")
    parser.add_argument("--eval_file", default=SquadFiles.eval_file, help="the questions")
    parser.add_argument("--form", choices=forms.FORMS, default="graph-float32")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256, help="of the hidden states")
    parser.add_argument("--samples", type=int, default=512, help="windows in memory; each run answers twice as many")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run, at least")
    parser.add_argument("--threads", type=int, default=devices.usable_cores())
    return parser.parse_args()


if __name__ == "__main__":
    import bench_lengths  # child processes find the functions under this name, but not in __main__

    bench_lengths.main()

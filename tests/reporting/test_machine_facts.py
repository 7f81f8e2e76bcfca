"""Energy that is unavailable says why in every view, and measured energy is there with its numbers."""

import dataclasses

from tests.result.test_energy import LIMIT, MEASURED, UNAVAILABLE, USE, outcome
from tfperf import result
from tfperf.reporting import machine_facts, machine_tables, table


def test_the_table_has_energy_use_and_bottleneck(tmp_path):
    shown = table.train_table(outcome(), run_dir=tmp_path)
    assert "bottleneck       input\n                 - 40 % of the time\n" in shown
    assert "package: measured 500 J in 10 s, 50 W, 5 J/sample; by RAPL\n" in shown
    assert "dram: unavailable: no counter\n" in shown
    assert "machine          GPU 0 (87 % busy)\n" in shown


def test_what_limited_several_windows_is_a_table_and_the_fact_counts_the_verdicts():
    limits = (
        result.Bottleneck(window="1 stream", verdict="compute", evidence=("it computes", "queue 2%")),
        result.Bottleneck(window="2 streams", verdict="queueing", evidence=("it waits", "queue 60%")),
        result.Bottleneck(window="4 streams", verdict="compute", evidence=("it computes", "queue 1%")),
    )
    limited = dataclasses.replace(outcome(), bottlenecks=limits)
    facts = dict(machine_facts.facts(limited))
    assert facts["bottleneck"].splitlines() == [
        "compute, 2 of 3 loads: it computes",
        "queueing, 1 of 3 loads: it waits",
    ]
    ((headers, rows), *_) = machine_tables.tables(limited)
    assert headers == ["bottleneck", "limited by", "numbers"]
    assert rows[1] == ["2 streams", "queueing", "queue 60%"]


def test_domains_without_a_number_for_one_reason_share_a_line():
    missing = [dataclasses.replace(UNAVAILABLE, domain=name) for name in ("package", "dram")]
    facts = dict(machine_facts.facts(dataclasses.replace(outcome(), energy=tuple(missing))))
    assert facts["energy"] == "package, dram: unavailable: no counter"


def test_a_notebook_shows_it():
    assert "dram: unavailable: no counter" in outcome()._repr_html_()


def test_several_windows_are_tables_and_reasons_stay_facts():
    later = dataclasses.replace(MEASURED, window="a load", began_s=2e9, joules=7.0)
    used = dataclasses.replace(USE, window="a load", began_s=2e9, cpu_percent=50.0)
    several = dataclasses.replace(
        outcome(), energy=(MEASURED, UNAVAILABLE, later), use=(USE, used), bottlenecks=(LIMIT,)
    )
    assert dict(machine_facts.facts(several)) == {
        "bottleneck": "input\n- 40 % of the time",
        "energy": "dram: unavailable: no counter",
    }
    (_, limits), (_, energy), (_, use) = machine_tables.tables(several)
    assert limits == []
    assert [row[:4] for row in energy] == [
        ["training", "package", "measured", "500"],
        ["a load", "package", "measured", "7"],
    ]
    assert [row[:3] for row in use] == [["training", "here", "--"], ["a load", "here", "50"]]

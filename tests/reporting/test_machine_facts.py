"""Energy that is unavailable says why in every view, and measured energy is there with its numbers."""

import dataclasses

from tests.result.test_energy import LIMIT, MEASURED, UNAVAILABLE, USE, outcome
from tfperf.reporting import machine_facts, machine_tables, table


def test_the_table_has_energy_use_and_bottleneck(tmp_path):
    shown = table.train_table(outcome(), run_dir=tmp_path)
    assert "bottleneck       input\n                 - 40 % of the time\n" in shown
    assert "package: measured 500 J in 10 s, 50 W, 5 J/sample; by RAPL\n" in shown
    assert "dram: unavailable: no counter\n" in shown
    assert "machine          GPU 0 (87 % busy)\n" in shown


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
    (_, energy), (_, use) = machine_tables.tables(several)
    assert [row[:4] for row in energy] == [
        ["training", "package", "measured", "500"],
        ["a load", "package", "measured", "7"],
    ]
    assert [row[:3] for row in use] == [["training", "here", "--"], ["a load", "here", "50"]]

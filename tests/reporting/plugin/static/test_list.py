"""Tests of the list of runs: its order, its filter, and the trials folded into their sweep."""

import dataclasses

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.reporting.plugin.static.browsing import all_of, card, one, until


def test_runs_are_listed_newest_first_with_date_and_ending_and_a_filter_finds_them(runs, opened):
    runs.training("20260103T040000Z-new", runs.internal)
    runs.training("20260101T040000Z-old", runs.missed)
    runs.training(
        "20260102T040000Z-cut", dataclasses.replace(runs.missed, division="internal", reasons=("interrupted",))
    )
    browser = opened(runs.logdir)

    def listed():
        return [
            [each.text for each in line.find_elements(By.CSS_SELECTOR, ".name, .badge, .ending")] for line in lines()
        ]

    def lines():
        return all_of(browser, ".runs .line")

    new = ["20260103T040000Z-new", "INTERNAL", "reached"]
    cut = ["20260102T040000Z-cut", "INTERNAL", "aborted"]
    old = ["20260101T040000Z-old", "INVALID", "missed"]
    until(browser, lambda: listed() == [new, cut, old])
    assert lines()[0].find_element(By.CSS_SELECTOR, "time").get_attribute("datetime") == "2026-01-03T04:00:00.000Z"

    field = one(browser, "#filter")
    for typed, found in (("reach", [new]), ("internal", [new, cut]), ("valid", []), ("2026-01-01", [old])):
        field.clear()
        field.send_keys(typed)
        until(browser, lambda found=found: listed() == found)
    field.clear()
    field.send_keys(" ")
    one(browser, "#ending-missed").click()
    one(browser, "#ending-aborted").click()
    until(browser, lambda: listed() == [cut, old])


def test_a_sweep_holds_its_trials_and_links_them_and_stars_the_best(runs, opened):
    runs.sweep("s")
    runs.training("a-trained")
    browser = opened(runs.logdir)
    one(browser, ".fold")
    assert [each.text for each in all_of(browser, ".runs .name")] == ["s", "a-trained"]

    one(browser, ".fold").click()

    until(browser, lambda: len(all_of(browser, ".runs .line")) == 4)
    assert [each.text for each in all_of(browser, ".trials .name")] == ["trial 00", "★ trial 01"]
    until(browser, lambda: all_of(browser, "#sweeps tr.best"))
    (link,) = all_of(browser, "#sweeps tr.best button.link")
    link.click()
    until(browser, lambda: card(browser, "s/trials/01"))


def test_runs_are_chosen_and_filtered_by_keyboard(runs, opened):
    runs.training("b-trained")
    runs.serving("a-served")
    browser = opened(runs.logdir)
    one(browser, "article")
    field = one(browser, "#filter")
    field.send_keys("served")
    until(browser, lambda: len(all_of(browser, ".runs li")) == 1)

    # Past the buttons to the one run in the list.
    while browser.switch_to.active_element.get_attribute("type") != "checkbox":
        browser.switch_to.active_element.send_keys(Keys.TAB)
    browser.switch_to.active_element.send_keys(Keys.SPACE)

    until(browser, lambda: len(all_of(browser, "article")) == 2)
    assert browser.switch_to.active_element.get_attribute("type") == "checkbox"

"""The page in a real browser: Debian's Chromium, wherever it is installed."""

import os
import shutil

import pytest
from selenium import webdriver

from tests.reporting.plugin.static.browsing import all_of, until


@pytest.fixture(scope="module")
def chromium():
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if None in programs:
        pytest.skip("needs Debian's chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # The page shows times in the time zone of its reader.
    service = webdriver.ChromeService(programs[1], env={**os.environ, "TZ": "UTC"})
    browser = webdriver.Chrome(options=options, service=service)
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium):
    yield chromium
    said = [line["message"] for line in chromium.get_log("browser") if "favicon.ico" not in line["message"]]
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    chromium.get("about:blank")
    assert said == []


@pytest.fixture
def opened(board, serve, browser):
    """Opens the page of a logdir without TensorBoard around it."""
    exits = []

    def open_page(logdir):
        serving = serve(board(logdir).application)
        exits.append(serving)
        browser.get(f"{serving.__enter__()}/data/plugin_entry.html?name=tfperf")
        browser.execute_script("sessionStorage.clear()")
        browser.refresh()
        until(browser, lambda: all_of(browser, ".runs li, nav .quiet"))
        return browser

    yield open_page
    browser.get("about:blank")
    for serving in exits:
        serving.__exit__(None, None, None)

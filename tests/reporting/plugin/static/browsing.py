"""What a reader does on the page, and what stands there."""

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

DEADLINE_S = 60
FOREIGN = "img, b, main script, nav script, a:not([href^='file?key=']):not(.skip)"  # what no page of tfperf holds
HOSTILE = '<img src=x onerror="window.hacked=1"><a href="javascript:window.hacked=2">b</a>%{x}${1}'


def until(browser, holds):
    """What `holds` returns once it is true. What it looks at may not be there yet, or be replaced meanwhile."""
    waiting = WebDriverWait(
        browser, DEADLINE_S, poll_frequency=0.1, ignored_exceptions=[StaleElementReferenceException, StopIteration]
    )
    return waiting.until(lambda _: holds())


def all_of(browser, selector):
    return browser.find_elements(By.CSS_SELECTOR, selector)


def one(browser, selector):
    return until(browser, lambda: all_of(browser, selector))[0]


def choose(browser, name):
    """Chooses one more run, once the page shows the first."""
    until(browser, lambda: all_of(browser, "article"))
    until(browser, lambda: click(browser, name))
    until(browser, lambda: name in [card.get_attribute("data-run") for card in all_of(browser, "article")])


def click(browser, name):
    (line,) = [line for line in all_of(browser, ".runs li") if name in line.text]
    line.find_element(By.CSS_SELECTOR, "input").click()
    return True


def card(browser, name):
    return next(each for each in all_of(browser, "article") if each.get_attribute("data-run") == name)


def drawn(browser, section):
    """A chart that plotly has drawn."""
    return one(browser, f"#{section} .chart .main-svg")


def charts_of(browser, section, shown):
    """What plotly was given for each chart of a section, once all are drawn: `shown` is JavaScript about `chart`."""
    look = (
        f"const charts = [...document.querySelectorAll('#{section} .chart')];"
        f"return charts.length && charts.every((chart) => chart.data) && charts.map((chart) => ({shown}))"
    )
    return until(browser, lambda: browser.execute_script(look))


def values(browser, column):
    """The numbers in full of one column of the comparison, in the order of its rows."""
    headers, *rows = all_of(browser, "#comparison .scroll:first-of-type tr")
    names = [cell.text for cell in headers.find_elements(By.CSS_SELECTOR, "th")]
    found = [row.find_elements(By.CSS_SELECTOR, "th, td")[names.index(column)] for row in rows]
    return [None if value is None else float(value) for value in (each.get_attribute("data-value") for each in found)]


def rows_of(browser, section):
    """The rows of the only table of a section, each cell under its header."""
    (table,) = all_of(browser, f"#{section} table")
    headers, *rows = [
        [cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")]
        for row in table.find_elements(By.CSS_SELECTOR, "tr")
    ]
    return [dict(zip(headers, row, strict=True)) for row in rows]


def facts_of(browser, name):
    """What a card says, by label."""
    labels, said = (card(browser, name).find_elements(By.CSS_SELECTOR, each) for each in ("dt", "dd"))
    return {label.text: fact.text for label, fact in zip(labels, said, strict=True)}

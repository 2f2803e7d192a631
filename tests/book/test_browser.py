"""The pages of the smoke book in a real browser: light, dark, on a telephone and on paper."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Empty, Queue

import pytest
from axe_core_python.base import AXE_SCRIPT
from selenium import webdriver

pytestmark = pytest.mark.slow
CHROMIUM = (
    shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
)
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --hide-scrollbars"
)
TYPESET = "return (window.MathJax?.startup?.promise ?? Promise.resolve()).then(() => true)"
UNTYPESET = (
    "return [...document.querySelectorAll('.math')].filter(e => "
    "!e.querySelector('mjx-container')).length"
)
MATH_ERRORS = "return document.querySelectorAll('[data-mml-node=merror]').length"
BROKEN_IMAGES = (
    "return [...document.images].filter(e => e.loading != 'lazy' && !(e.complete && "
    "e.naturalWidth))"
    ".map(e => e.src)"
)
NARROW = 390  # not window.innerWidth, which on a telephone grows with what sticks out
ASIDE = f"return document.documentElement.scrollWidth - {NARROW}"
VERDICTS_ASIDE = (
    "return [...document.querySelectorAll('table.verdicts')]"
    f".filter(e => e.getBoundingClientRect().right > {NARROW} + 1 || e.scrollWidth > "
    "e.clientWidth + 1)"
    ".length"
)
VERDICTS_WIDE = (
    "return [...document.querySelectorAll('table.verdicts')].filter(e => "
    "e.getBoundingClientRect().right > "
    "e.closest('.bd-article').getBoundingClientRect().right + 1).length"
)
BACKGROUND = "return getComputedStyle(document.body).backgroundColor"
CARDS_IN_THE_DARK = (
    "return [...document.querySelectorAll('.bd-content img.in-dark')]"
    ".filter(e => getComputedStyle(e).backgroundColor != 'rgba(0, 0, 0, 0)' || "
    "getComputedStyle(e).filter != 'none')"
    ".map(e => e.alt)"
)
TONES = (
    "return [...document.querySelectorAll('.bd-content img.dark-light')]"
    ".filter(e => getComputedStyle(e).display != 'none' && "
    "!e.classList.contains(arguments[0])).length"
)
CUT_ON_PAPER = (
    "return [...document.querySelectorAll('.bd-article pre')]"
    ".filter(e => getComputedStyle(e).whiteSpace != 'pre-wrap').length"
)
COLOURS = ["color-contrast"]
STILL = (  # else colours are read on their way from one mode to the other
    "document.head.insertAdjacentHTML('beforeend', "
    "'<style>*, ::before, ::after { transition: none !important }</style>')"
)
CLOSED = "return document.querySelectorAll('details:not([open])').length"


# What axe finds of serious or critical weight; MathJax's output is left to MathJax.
INACCESSIBLE = """
const [rules, done] = [arguments[0], arguments[1]];
const settings = {resultTypes: ["violations"], ...(rules && {runOnly: rules})};
axe.run({exclude: [["mjx-container"]]}, settings).then(({violations}) => done(
  violations.filter(v => ["serious", "critical"].includes(v.impact)).map(({id, nodes}) =>
    `${id}, ${nodes.length} times: ${nodes[0].html.slice(0, 160)} ${nodes[0].failureSummary}`)));
"""


@pytest.fixture(scope="module")
def browsers(tmp_path_factory):
    """As many as there are cores for, at most four."""
    if not (CHROMIUM and DRIVER):
        pytest.skip(
            "no Chromium with its driver on this machine: apt install chromium chromium-driver"
        )
    drivers = [
        start(tmp_path_factory.mktemp("chromium")) for _ in range(min(os.cpu_count() or 1, 4))
    ]
    yield drivers
    for driver in drivers:
        driver.quit()


@pytest.fixture
def browser(browsers):
    return browsers[0]


def start(profile):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(120)
    return driver


def resize(browser, width, height=900):
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def complaints(browser):
    """Errors in the console, and every address that was asked for outside this machine."""
    errors = [
        entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"
    ]
    asked = [entry["message"] for entry in browser.get_log("performance")]
    return errors + [m for m in asked if "requestWillBeSent" in m and '"url":"http' in m]


def test_every_page_in_a_browser(browsers, repository, pages):
    waiting = Queue()
    for path, page in pages.items():
        if not page.leads_on:  # where it leads is a page of its own, still loading when asked here
            waiting.put(path)
    with ThreadPoolExecutor(len(browsers)) as pool:
        looks = [pool.submit(look_at_pages, driver, repository, waiting) for driver in browsers]
    faults = [fault for look in looks for fault in look.result()]
    assert not faults, "\n".join(faults)


def look_at_pages(browser, repository, waiting):
    """The faults of pages from the queue, as long as there are some."""
    faults = []
    with suppress(Empty):
        while True:
            path = waiting.get_nowait()
            found = look_at(browser, (repository.build / "html" / path).as_uri())
            faults += [f"{path}: {what}: {how}" for what, how in found.items() if how]
    return faults


def look_at(browser, address):
    """What is wrong with a page: on a screen, in the dark, on paper and on a telephone."""
    resize(browser, 1400)
    browser.get(address)
    browser.execute_script(TYPESET)
    found = {"console": complaints(browser)}
    found["formulas left"] = browser.execute_script(UNTYPESET)
    found["formulas wrong"] = browser.execute_script(MATH_ERRORS)
    found["images"] = browser.execute_script(BROKEN_IMAGES)
    found["verdicts wide"] = browser.execute_script(VERDICTS_WIDE)
    browser.execute_script(STILL)
    browser.execute_script(AXE_SCRIPT)
    found["inaccessible"] = browser.execute_async_script(INACCESSIBLE, None)
    browser.execute_script("document.documentElement.dataset.theme = 'dark'")
    found["inaccessible in the dark"] = browser.execute_async_script(INACCESSIBLE, COLOURS)
    found["light in the dark"] = browser.execute_script(BACKGROUND) == "rgb(255, 255, 255)"
    found["pale cards"] = browser.execute_script(CARDS_IN_THE_DARK)
    found["light figures in the dark"] = browser.execute_script(TONES, "in-dark")
    with on_paper(browser):
        found["closed on paper"] = browser.execute_script(CLOSED)
        found["cut on paper"] = browser.execute_script(CUT_ON_PAPER)
        found["dark on paper"] = browser.execute_script(BACKGROUND) != "rgb(255, 255, 255)"
    resize(browser, NARROW)
    found["verdicts aside"] = browser.execute_script(VERDICTS_ASIDE)
    found["page aside"] = browser.execute_script(ASIDE) > 0
    return found


@contextmanager
def on_paper(browser):
    """Meanwhile the page is as it is printed."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    yield
    browser.execute_script("window.dispatchEvent(new Event('afterprint'))")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_the_search_finds_the_chapter_of_a_claim_first(browser, repository, pages):
    resize(browser, 1400)
    browser.get((repository.build / "html" / "search.html").as_uri() + "?q=P18-5")
    browser.implicitly_wait(10)
    first = browser.find_element("css selector", "#search-results li a")
    assert "class_means" in first.get_attribute("href")
    told = browser.execute_script(
        "return inLetters('of \\\\(\\\\lambda_{1}\\\\): 0.3 {0.2 … 0.4}, and \\\\(c\\'')"
    )
    assert told == "of λ_1: 0.3 {0.2 … 0.4}, and c'"

"""The server's pages in a browser: type, submit, read; upload, download; narrow and wide.

axe-core checks them against WCAG 2.2 AA. `npm install axe-core` in the project's folder brings it.
"""

import csv
import os
import shutil
import time
from pathlib import Path

import pytest
from tiny_models import TEXTS, write_lm
from tiny_server import classifiers, serving

from ulmfit.inference.ensemble import Classifier

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
expected = pytest.importorskip("selenium.webdriver.support.expected_conditions")
waiting = pytest.importorskip("selenium.webdriver.support.ui")
BROWSER, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="chromium and chromedriver are not installed"
)
ROOT = Path(__file__).parents[2]
AXE = Path(os.environ.get("AXE_CORE", ROOT / "node_modules/axe-core/axe.min.js"))
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
THEMES = ["light", "dark"]
SCRIPT = "<script>document.title = 'taken over'</script>"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return classifiers(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def address(folders, tmp_path_factory):
    lm = write_lm(tmp_path_factory.mktemp("lm") / "lm")
    with serving(folders, "--lm", str(lm)) as (_, address):
        yield address


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(tmp_path_factory, downloads):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(DRIVER)
    browser = webdriver.Chrome(options, service)
    browser.set_page_load_timeout(60)
    browser.implicitly_wait(30)  # for what the next page has
    yield browser
    browser.quit()


def one(browser, selector):
    return browser.find_element("css selector", selector)


def classify(browser, address, text):
    browser.get(address)
    one(browser, "#text").send_keys(text)
    one(browser, "form[action='/#result'] button").click()
    one(browser, "#result")


def test_a_text_is_typed_and_its_label_read(browser, address, folders):
    classify(browser, address, TEXTS[1])
    expected = Classifier.load(*folders, precision="float32").predict([TEXTS[1]]).iloc[0]
    assert one(browser, "#result .label").text == expected["label"]
    bars = [bar.text.split() for bar in browser.find_elements("css selector", ".bar")]
    assert [bar[0] for bar in bars[:2]] == sorted(["neg", "pos"], key=lambda c: -expected[c])
    assert float(bars[0][1]) == pytest.approx(100 * expected["probability"], abs=1)
    one(browser, "#result summary").click()
    headings = [h.text for h in browser.find_elements("css selector", "#result h3")]
    assert headings == ["Words that moved it", "Forward (clf-fwd)", "Backward (clf-bwd)"]
    assert one(browser, ".words p").text == TEXTS[1]
    shown = one(browser, ".words span")
    assert "rgba" in shown.value_of_css_property("background-color")
    assert one(browser, "#text").get_attribute("value") == TEXTS[1]
    assert browser.get_log("browser") == []  # nothing was blocked or not found


def test_line_breaks_survive(browser, address):
    classify(browser, address, "\nA great\n\nfilm")
    assert one(browser, "#text").get_attribute("value") == "\nA great\n\nfilm"


def test_a_script_in_a_text_does_not_run(browser, address):
    classify(browser, address, f"</textarea></p>{SCRIPT} great")
    assert browser.title == "ulmfit"
    assert "<script>" in one(browser, ".words p").text


def test_a_file_goes_up_and_comes_down_scored(browser, address, downloads, tmp_path, folders):
    source = tmp_path / "reviews.csv"
    with source.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "text"], *enumerate(TEXTS)])
    browser.get(address)
    one(browser, "#file").send_keys(str(source))
    one(browser, "form[action='/files'] button").click()
    assert one(browser, ".result h2").text == f"{len(TEXTS)} texts are classified"
    one(browser, "a[href$='scored.csv']").click()
    target = downloads / "reviews-scored.csv"
    deadline = time.monotonic() + 60
    while not target.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with target.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == TEXTS
    expected = Classifier.load(*folders, precision="float32").predict(TEXTS)["label"].tolist()
    assert [row["label"] for row in rows] == expected


def test_a_bad_file_is_told_on_the_page(browser, address, tmp_path):
    source = tmp_path / "reviews.csv"
    source.write_text("body\ngreat\n")
    browser.get(address)
    one(browser, "#file").send_keys(str(source))
    one(browser, "form[action='/files'] button").click()
    assert one(browser, "[role=alert]").text == "reviews.csv has no column 'text'; it has body"


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits(browser, address, width):
    """No part of it is wider than the window; a long word breaks."""
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    classify(browser, address, f"A great film. {'x' * 300}")
    try:
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script("return window.innerWidth") == width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def press(browser, *keys):
    """Keys to the element that has the focus; a file field would take them for a path."""
    webdriver.ActionChains(browser).send_keys(*keys).perform()


def test_everything_is_reached_with_the_keyboard(browser, address):
    browser.get(address)
    keys = webdriver.Keys
    reached = []
    for _ in range(14):
        press(browser, keys.TAB)
        focused = browser.switch_to.active_element
        name = focused.get_attribute("id") or focused.text or focused.get_attribute("value")
        reached.append(name)
    assert reached[:7] == [
        "Skip to the content",
        "Classify",
        "Next word",
        "Auto",
        "Light",
        "Dark",
        "text",
    ]
    assert {"file", "text_col", "label_col"} <= set(reached)
    one(browser, "#text").send_keys("A great film")
    press(browser, keys.TAB, keys.ENTER)
    assert one(browser, "#result .label").text in ("neg", "pos")


def test_a_next_word_is_added_by_one_click(browser, address):
    browser.get(f"{address}/next")
    one(browser, "#text").send_keys("This is")
    one(browser, "#next > button").click()
    word = one(browser, "#words .word")
    longer = word.get_attribute("value")
    word.click()
    waiting.WebDriverWait(browser, 30).until(expected.staleness_of(word))  # the page is loaded anew
    one(browser, "#words .word")
    assert one(browser, "#text").get_attribute("value") == longer


def choose(browser, theme):
    one(browser, f".switch button[value={theme}]").click()
    one(browser, f"html[data-theme={theme}]")


def test_the_switch_keeps_what_was_typed(browser, address):
    browser.get(address)
    one(browser, "#text").send_keys("A great film")
    choose(browser, "dark")
    assert one(browser, "#text").get_attribute("value") == "A great film"
    paper = one(browser, "body").value_of_css_property("background-color")
    assert paper == "rgba(20, 24, 28, 1)"
    browser.get(address)
    choose(browser, "light")
    paper = one(browser, "body").value_of_css_property("background-color")
    assert paper == "rgba(255, 255, 255, 1)"


def violations(browser):
    """What axe-core finds on the page, as lines."""
    # Through the debugger: the pages' policy lets no other script in.
    source = AXE.read_text(encoding="utf-8")
    browser.execute_cdp_cmd("Runtime.evaluate", {"expression": source})
    found = browser.execute_async_script(
        "const [rules, done] = arguments;"
        "axe.run({runOnly: {type: 'tag', values: rules}}).then(done)",
        RULES,
    )
    assert len(found["passes"]) > 5
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.skipif(not AXE.exists(), reason=f"axe-core is not installed: no file {AXE}")
@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing(browser, address, tmp_path, theme):
    browser.set_script_timeout(120)
    classify(browser, address, "A great film with some words in it")
    choose(browser, theme)
    assert violations(browser) == []
    browser.get(f"{address}/next")
    one(browser, "#text").send_keys("This is")
    one(browser, "#next > button").click()
    one(browser, "#words")
    assert violations(browser) == []
    for labels in ([], ["neg", "pos"]):
        source = tmp_path / f"notes{len(labels)}.csv"
        rows = [["text", *(["label"] if labels else [])]]
        rows += [[text, *labels[i % 2 : i % 2 + 1]] for i, text in enumerate(TEXTS * 5)]
        with source.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        browser.get(address)
        one(browser, "#file").send_keys(str(source))
        one(browser, "form[action='/files'] button").click()
        link = one(browser, "a[href$='/report']")
        assert violations(browser) == []
        link.click()
        one(browser, "#classes")
        assert violations(browser) == []

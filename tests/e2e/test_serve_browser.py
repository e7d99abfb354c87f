"""The server's page in a browser: type, submit, read; upload, download; narrow and wide."""

import csv
import shutil
import time

import pytest
from tiny_models import TEXTS
from tiny_server import classifiers, serving

from ulmfit.inference.ensemble import Classifier

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
BROWSER, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="chromium and chromedriver are not installed"
)
SCRIPT = "<script>document.title = 'taken over'</script>"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return classifiers(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def address(folders):
    with serving(folders) as (_, address):
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
    headings = [h.text for h in browser.find_elements("css selector", "#result h3")]
    assert headings == ["Forward (clf-fwd)", "Backward (clf-bwd)", "Words that moved it"]
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
    one(browser, "form[action='/score'] button").click()
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
    one(browser, "form[action='/score'] button").click()
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

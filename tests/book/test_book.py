"""The built pages as a reader meets them: in a browser, from disk, on a desk and on a phone."""

import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest
from chapters_on_disk import ROOT, toc_pages
from house import doors
from playwright.sync_api import sync_playwright
from sphinx.util.inventory import InventoryFile

HTML = ROOT / "_build" / "html"
PAGES = [HTML / f"{page}.html" for page in toc_pages()]
DESK = {"viewport": {"width": 1300, "height": 900}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "is_mobile": True}
SIDEWAYS = """() => [...document.querySelectorAll('div.cell_input pre, div.math, div.math > *')]
    .filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.textContent)"""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium; without one the tests are skipped, but not in continuous integration."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        message = "no browser found: install Chromium to check the pages (Debian: chromium)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.mark.parametrize("device", [DESK, PHONE], ids=["desk-light", "phone-dark"])
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_page_in_a_browser(browser, page, device):
    context = browser.new_context(**device)
    tab, complaints, requests = context.new_page(), [], []
    tab.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page.as_uri())
    tab.wait_for_function("!window.MathJax || !!(MathJax.startup && MathJax.startup.promise)")
    tab.evaluate("window.MathJax && MathJax.startup.promise")
    text = tab.evaluate(
        """() => { const main = document.querySelector('main').cloneNode(true);
        main.querySelectorAll('pre, code, mjx-container').forEach(n => n.remove());
        return main.textContent; }"""
    )
    width = tab.evaluate("document.documentElement.scrollWidth")
    sideways = tab.evaluate(SIDEWAYS) if device is DESK else []
    broken = tab.evaluate("document.querySelectorAll('mjx-merror, [data-mjx-error]').length")
    context.close()

    assert not complaints
    assert not [url for url in requests if urlparse(url).scheme not in ("file", "data", "blob")]
    assert not re.findall(r"\\\(|\\\[|\$\$|\{glue:|\{numref\}|\{prf:ref\}", text)
    assert broken == 0
    assert width <= device["viewport"]["width"]
    assert not sideways  # on a desk no code and no equation hides behind a scroll bar


class Page(HTMLParser):
    """Links, anchors and images of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.anchors, self.undescribed = [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.anchors.add(found.get("id"))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "img" and not found.get("alt"):
            self.undescribed.append(found.get("src"))


@pytest.fixture(scope="module")
def parsed():
    return {path: Page(path) for path in HTML.rglob("*.html")}


def test_every_image_is_described(parsed):
    assert not {path.name: p.undescribed for path, p in parsed.items() if p.undescribed}


def test_no_link_is_dead(parsed):
    dead = []
    for path, page in parsed.items():
        for link in page.links:
            address, fragment = urldefrag(link)
            if urlparse(address).scheme:
                continue
            target = (path.parent / unquote(address)).resolve() if address else path
            anchors = parsed[target].anchors if target in parsed else {fragment}
            if not target.exists() or (fragment and unquote(fragment) not in anchors):
                dead.append(f"{path.name}: {link}")
    assert not dead


def test_the_library_page_shows_the_public_names_and_no_others():
    with (HTML / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, uri: uri)
    kinds = ("py:function", "py:class", "py:data", "py:exception")
    named = {name for kind in kinds for name in inventory.get(kind, {})}
    shown = {name for name in named if "._" not in name}  # classes are known by their file, too
    assert shown == {f"relaxlib.{door}.{name}" for door, names in doors().items() for name in names}

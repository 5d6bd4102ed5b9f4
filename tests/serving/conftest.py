"""A server in this process: the digits model behind the application; and a real browser."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("starlette", reason="serving needs: pip install 'alexnet[serve]'")
from requests_made import LIMITS
from starlette.testclient import TestClient

from alexnet.inference.model import Model
from alexnet.serving.app import create_app

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync",
          "--disable-component-update",
          # A camera that shows a pattern, and leave to use it.
          "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]  # fmt: skip


@pytest.fixture(scope="module")
def client(opened: Model) -> Iterator[TestClient]:
    with TestClient(create_app([opened], LIMITS), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs: pip install playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Debian's chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield browser
        browser.close()

"""The page in a real browser."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from requests_made import png
from test_server import ended, started

from alexnet.artifacts.run import Run


@pytest.fixture(scope="module")
def port(trained: Run) -> Iterator[int]:
    process, port = started(trained.path)
    yield port
    ended(process)


def opened(page: Any, port: int) -> None:
    """The page, once it knows its model: what is hidden until then takes no focus and no key."""
    page.set_default_timeout(60_000)
    page.goto(f"http://127.0.0.1:{port}/")
    page.locator("#pad").wait_for()


@pytest.fixture
def page(browser: Any, port: int) -> Iterator[Any]:
    """The page in English; nothing may be written to the browser's console, and nothing asked of another host."""
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    said: list[str] = []
    hosts: set[str] = set()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2] if "://" in request.url else ""))
    opened(page, port)
    yield page
    context.close()
    # Chromium itself logs each 4xx that the page was answered with.
    assert [line for line in said if "with a status of 4" not in line] == []
    assert hosts <= {f"127.0.0.1:{port}", ""}


def chosen(page: Any, tmp_path: Path) -> None:
    file = tmp_path / "bright.png"
    file.write_bytes(png(np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)))
    page.set_input_files("#file", file)
    page.wait_for_selector("#tabs button")


def test_an_image_gives_five_bars_and_all_layers(page: Any, tmp_path: Path) -> None:
    chosen(page, tmp_path)
    assert page.locator(".bars li").count() == 5
    assert page.locator("#tabs button").first.inner_text() == "input"
    assert page.locator("#tabs button").last.inner_text() == "softmax"
    best = page.locator(".bars li span").first.inner_text()
    assert page.locator("#status").inner_text().startswith(f"run: {best}, ")


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_an_image_is_dropped_or_pasted(page: Any, tmp_path: Path, way: str) -> None:
    chosen(page, tmp_path)
    expected = page.locator(".bars").inner_text()
    page.reload()
    page.locator("#pad").wait_for()
    content = base64.b64encode((tmp_path / "bright.png").read_bytes()).decode()
    given = {"drop": "dragenter,drop", "paste": "paste"}[way]
    page.evaluate(
        """([content, given]) => {
            const data = new DataTransfer();
            const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
            data.items.add(new File([bytes], "bright.png", { type: "image/png" }));
            for (const name of given.split(",")) {
                const how = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
                const event = name === "paste" ? new ClipboardEvent(name, how) : new DragEvent(name, how);
                document.getElementById("drop").dispatchEvent(event);
            }
        }""",
        [content, given],
    )
    page.wait_for_selector("#tabs button")
    assert page.locator(".bars").inner_text() == expected
    assert "over" not in (page.locator("#drop").get_attribute("class") or "")


def test_what_is_dropped_and_is_no_file_is_told(page: Any) -> None:
    page.evaluate(
        "document.dispatchEvent(new DragEvent('drop', { cancelable: true, dataTransfer: new DataTransfer() }))"
    )
    assert "wrong" in page.locator("#status").get_attribute("class")
    assert page.locator("#told").is_hidden()


def test_a_drawn_digit_is_read_and_a_pixel_explained(page: Any) -> None:
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 190, box["y"] + 60, steps=5)
    page.mouse.move(box["x"] + 110, box["y"] + 210, steps=5)
    page.mouse.up()
    page.wait_for_selector("#tabs button")
    page.locator(".maps button").nth(3).click()
    page.locator("#enlarged canvas").click()
    page.wait_for_selector("#steps li")
    assert page.locator("#number-place").inner_text().startswith("conv1:pre at 3, ")
    # The last step's number is the pixel's.
    assert (
        page.locator("#steps li b").last.inner_text() == page.locator("#number-place").inner_text().rpartition("= ")[2]
    )
    page.locator("#back").click()
    assert page.locator("#steps li").count() == 1


def test_the_slider_moves_the_overlay(page: Any, tmp_path: Path) -> None:
    chosen(page, tmp_path)
    page.locator("#opacity").wait_for()
    page.locator("#opacity").fill("20")
    assert page.locator("#heat").evaluate("canvas => canvas.style.opacity") == "0.2"
    pixels = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data].some(v => v)"
    assert page.locator("#heat").evaluate(pixels)


def test_by_keyboard_alone(page: Any) -> None:
    page.locator("#pad").focus()
    page.keyboard.press("Space")
    for key in ("ArrowDown",) * 4:
        page.keyboard.press(key)
    page.wait_for_selector("#tabs button")
    page.locator("#tabs button[aria-selected=true]").focus()
    before = page.locator("#tabs button[aria-selected=true]").inner_text()
    page.keyboard.press("ArrowRight")
    after = page.locator("#tabs button[aria-selected=true]").inner_text()
    assert (before, after) == ("conv1:pre", "relu1")
    page.locator(".maps button").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#enlarged canvas")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_selector("#steps li")


def test_chinese_and_back(page: Any) -> None:
    page.click("#language")
    assert page.locator("h2").first.inner_text() == "一张图片"
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    page.click("#language")
    assert page.locator("h2").first.inner_text() == "An image"


def shot(page: Any) -> int:
    """Takes a picture with the browser's camera, opened twice; the page shows what it says, and lets the camera go.
    Returns the number of the picture's colors."""
    for _ in range(2):
        page.locator("#camera").click()
        page.evaluate(
            """new Promise((done) => {
              const look = () => $("video").videoWidth && !$("film").hidden ? done() : setTimeout(look, 20);
              look();
            })"""
        )
    size = page.evaluate("[$('video').videoWidth, $('video').videoHeight]")
    page.evaluate("window.track = $('video').srcObject.getVideoTracks()[0]")
    assert page.evaluate("track.readyState") == "live"
    page.locator("#shoot").click()
    page.locator("#status", has_text="%").wait_for()
    assert page.locator(".bars li").count() == 5
    assert page.evaluate("[track.readyState, $('film').hidden]") == ["ended", True]
    width, height, colors = page.evaluate(
        """createImageBitmap(App.image).then((picture) => {
          const canvas = make("canvas", { width: picture.width, height: picture.height }).getContext("2d");
          canvas.drawImage(picture, 0, 0);
          const { data } = canvas.getImageData(0, 0, picture.width, picture.height);
          return [picture.width, picture.height, new Set(new Uint32Array(data.buffer)).size];
        })"""
    )
    assert [width, height] == size
    return colors


def test_a_picture_of_the_camera(page: Any) -> None:
    assert shot(page) > 1  # the camera's pattern


def test_no_camera_is_told(page: Any) -> None:
    page.evaluate("{ navigator.mediaDevices.getUserMedia = async () => { throw new Error('none') }; 0 }")
    page.locator("#camera").click()
    page.locator("#status", has_text="camera cannot be used").wait_for()
    assert page.locator("#film").is_hidden()


def test_what_is_no_image_is_told(page: Any, tmp_path: Path) -> None:
    (tmp_path / "page.png").write_text("<html><script>alert(1)</script></html>")
    page.set_input_files("#file", tmp_path / "page.png")
    page.locator("#status", has_text="not an image").wait_for()
    assert page.locator("#told").is_hidden()


def test_every_control_has_a_name_and_words_exist_in_both_languages(page: Any) -> None:
    unnamed = page.evaluate(
        """[...document.querySelectorAll('button, select, input, canvas[tabindex]')].filter(e => e.offsetParent !== null
        && !e.textContent.trim() && !e.getAttribute('aria-label') && !(e.labels && e.labels.length)).map(e => e.id)"""
    )
    assert unnamed == []
    assert page.evaluate("Object.keys(WORDS.en).filter(k => !(k in WORDS.zh)).length") == 0
    assert (
        page.evaluate("[...document.querySelectorAll('[data-t]')].filter(e => !(e.dataset.t in WORDS.en)).length") == 0
    )


def test_a_sample_is_one_click_and_a_broken_constant_changes_the_answer(page: Any) -> None:
    page.locator("#samples button").first.click()
    page.wait_for_selector("#tabs button")
    page.locator("#change").fill("scale=0.00001; mean=nonsense")
    page.keyboard.press("Enter")
    page.locator("#broken-status", has_text="not a number").wait_for()
    page.locator("#change").fill("scale=0.00001")
    page.keyboard.press("Enter")
    page.wait_for_selector("#broken tbody tr")
    rows = [row.inner_text().split("\t") for row in page.locator("#broken tbody tr").all()]
    assert [row[0] for row in rows] == ["as it is", "scale=0.00001"]
    assert rows[0][2] != rows[1][2]


def test_two_models_side_by_side(page: Any, tmp_path: Path) -> None:
    page.select_option("#beside", index=2)
    chosen(page, tmp_path)
    assert page.locator(".bars").count() == 2
    first, second = (each.inner_text() for each in page.locator(".bars").all())
    assert first == second  # the same model twice


@pytest.mark.parametrize(("scheme", "width", "locale"), [("light", 1200, "en-US"), ("dark", 390, "zh-CN")])
def test_axe_finds_nothing_serious(
    browser: Any, port: int, tmp_path: Path, scheme: str, width: int, locale: str
) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs: pip install axe-playwright-python"
    )
    context = browser.new_context(locale=locale, color_scheme=scheme, viewport={"width": width, "height": 800})
    page = context.new_page()
    opened(page, port)
    empty = axe.Axe().run(page).response["violations"]
    chosen(page, tmp_path)
    page.locator("#opacity").wait_for()
    page.locator("#breaking button").click()
    page.wait_for_selector("#broken tbody tr")
    page.locator(".maps button").nth(3).click()
    page.locator("#enlarged canvas").click()
    page.wait_for_selector("#steps li")
    full = axe.Axe().run(page).response["violations"]
    page.goto(f"http://127.0.0.1:{port}/docs")
    page.wait_for_selector("#paths h2")
    api = axe.Axe().run(page).response["violations"]
    found = [(each["impact"], each["id"], each["nodes"][0]["target"]) for each in (*empty, *full, *api)]
    assert [each for each in found if each[0] in ("serious", "critical")] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()

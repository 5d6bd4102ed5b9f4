"""The decoder: every kind of image the same way, and every kind of broken one refused in one line."""

import io
import resource
import struct
import subprocess
import sys
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from makers import bomb, png
from PIL import Image, ImageOps, TiffImagePlugin

from alexnet.data.loading.containers import FORMATS, cleaned
from alexnet.data.loading.decode import MAX_PIXELS, DecodeError, _cost, decode, prepare, refit, stored_size
from alexnet.data.loading.memory import Budget
from alexnet.data.loading.samples import Range, common_range
from alexnet.errors import InputError
from alexnet.preprocessing import Preprocessing


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


@pytest.fixture
def smooth() -> np.ndarray:
    """RGB 24×32, a gradient: what lossy formats keep."""
    rows, columns = np.mgrid[:24, :32]
    return np.stack([rows * 10, columns * 8, np.full_like(rows, 90)], 2).astype(np.uint8)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True}), ("GIF", {})])
def test_lossless_formats(smooth: np.ndarray, kind: str, options: dict[str, object]) -> None:
    array = smooth if kind != "GIF" else smooth // 64 * 64
    assert np.array_equal(decode(encoded(Image.fromarray(array), kind, **options)), array)


def test_jpeg(smooth: np.ndarray) -> None:
    result = decode(encoded(Image.fromarray(smooth), "JPEG", quality=95))
    assert result.shape == smooth.shape
    assert np.abs(result.astype(int) - smooth).max() < 12


def test_gray_becomes_three_equal_channels_and_color_becomes_luma(smooth: np.ndarray) -> None:
    gray = smooth[:, :, 0]
    assert np.array_equal(decode(png(gray), 3), np.repeat(gray[:, :, None], 3, 2))
    assert np.array_equal(decode(png(gray), 1)[:, :, 0], gray)
    luma = smooth @ np.array([0.299, 0.587, 0.114])
    assert np.abs(decode(png(smooth), 1)[:, :, 0] - luma).max() <= 1


def test_one_bit_and_palette(smooth: np.ndarray) -> None:
    bits = Image.fromarray(smooth[:, :, 0] > 100)
    assert set(np.unique(decode(encoded(bits, "PNG")))) == {0, 255}
    palette = Image.fromarray(smooth // 64 * 64).quantize(256)
    assert np.array_equal(decode(encoded(palette, "PNG")), np.array(palette.convert("RGB")))


def test_transparency_is_laid_on_white() -> None:
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
    assert decode(png(pixels)).tolist() == [[[10, 20, 30], [255, 255, 255], [127, 127, 127]]]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    palette.putpalette([200, 0, 0, 0, 200, 0])
    for transparency in (0, bytes([0, 255])):
        content = encoded(palette, "PNG", transparency=transparency)
        assert decode(content).tolist() == [[[255, 255, 255], [0, 200, 0]]]
    gray = np.array([[[50, 255], [50, 0]]], np.uint8)
    assert decode(encoded(Image.fromarray(gray, "LA"), "PNG"), 1).tolist() == [[[50], [255]]]


def test_sixteen_bits_lose_the_low_byte() -> None:
    samples = np.array([[0, 255, 256, 0x1234, 0xFFFF]], np.uint16)
    assert decode(png(samples), 1)[0, :, 0].tolist() == [0, 0, 1, 0x12, 0xFF]


def test_cmyk_as_pillow_converts_it(smooth: np.ndarray) -> None:
    image = Image.fromarray(smooth).convert("CMYK")
    content = encoded(image, "JPEG", quality=95)  # Pillow writes the form that Adobe inverts
    assert np.abs(decode(content).astype(int) - smooth).max() < 16


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_rotation(kind: str) -> None:
    array = np.zeros((40, 80, 3), np.uint8)
    array[:, :40] = 250  # the left half is light
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise: left becomes top
    content = encoded(Image.fromarray(array), kind, exif=exif)
    result = decode(content)
    assert result.shape == (80, 40, 3)
    assert result[:30].min() > 200
    assert result[50:].max() < 50
    assert decode(content, size=(8, 4)).shape == (8, 4, 3)


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "lime")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(content)[0, 0].tolist() == [255, 0, 0]


def test_crop_covers_and_takes_the_center_squash_takes_all() -> None:
    array = np.zeros((10, 30, 1), np.uint8)
    array[:, 10:20] = 200
    assert decode(png(array[:, :, 0]), 1, (10, 10)).min() == 200
    squashed = decode(png(array[:, :, 0]), 1, (10, 10), "squash")
    assert squashed.min() == 0
    assert squashed.max() == 200
    assert decode(png(array[:, :, 0]), 3, (7, 5)).shape == (7, 5, 3)
    with pytest.raises(InputError, match=r"crop, squash"):
        decode(png(array[:, :, 0]), 1, (5, 5), "stretch")


def test_downscaling_is_antialiased() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(decode(png(stripes), 1, (8, 8)).astype(int) - 127).max() <= 8


def test_a_large_jpeg_reduced_while_decoding_looks_as_it_would_without(smooth: np.ndarray) -> None:
    image = Image.fromarray(smooth).resize((640, 480))
    result = decode(encoded(image, "JPEG", quality=95), size=(24, 32))
    assert np.abs(result.astype(int) - np.array(image.resize((32, 24), Image.Resampling.BILINEAR))).max() < 6


def test_refit_and_prepare_follow_the_same_rules(tmp_path: Path, random: np.random.Generator) -> None:
    array = random.integers(0, 256, (20, 30, 3), np.uint8)
    (tmp_path / "a.png").write_bytes(png(array))
    prepared = prepare(tmp_path / "a.png", Preprocessing((8, 8), resize=10, colors="L"))
    assert prepared.shape == (10, 10, 1)
    assert np.array_equal(refit(array, 1, (10, 10), "crop"), prepared)


def test_stored_size() -> None:
    assert stored_size((227, 227), 256) == (256, 256)
    assert stored_size((100, 200), 150) == (150, 300)
    assert stored_size((32, 32), None) == (32, 32)
    with pytest.raises(InputError, match="less than"):
        stored_size((227, 227), 200)


def test_broken_images_have_one_clear_reason(tmp_path: Path, smooth: np.ndarray) -> None:
    jpeg = encoded(Image.fromarray(smooth).resize((300, 300)), "JPEG")
    broken = {
        "text.png": (b"not an image at all", "not an image"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "cut short"),
        "cut.png": (png(smooth)[:60], "cut short"),
        "empty.png": (b"", "empty file"),
        "bomb.png": (bomb(), "pixels"),
        "large.png": (bomb(10_000), "pixels"),  # here Pillow itself would only warn
        "vector.svg.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a SVG image, which is not read"),
    }
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for name, (content, reason) in broken.items():
            (tmp_path / name).write_bytes(content)
            with pytest.raises(DecodeError, match=reason) as caught:
                decode(tmp_path / name)
            assert str(caught.value).startswith(str(tmp_path / name))
            assert "\n" not in str(caught.value)
            assert reason in caught.value.reason
    assert not warned
    with pytest.raises(DecodeError, match="no such file"):
        decode(tmp_path / "missing.png")
    with pytest.raises(DecodeError, match="not a file"):
        decode(tmp_path)


@pytest.mark.parametrize(
    ("kind", "options"), [("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("PPM", {}), ("JPEG2000", {})]
)
def test_other_containers_are_read(smooth: np.ndarray, kind: str, options: dict[str, object]) -> None:
    if kind not in FORMATS:
        pytest.skip(f"this Pillow has no {kind}")
    assert np.array_equal(decode(encoded(Image.fromarray(smooth), kind, **options)), smooth)


def test_avif(smooth: np.ndarray) -> None:
    if "AVIF" not in FORMATS:
        pytest.skip("this Pillow has no AVIF")
    result = decode(encoded(Image.fromarray(smooth).resize((64, 48)), "AVIF", quality=95), size=(24, 32))
    assert np.abs(result.astype(int) - smooth).max() < 12


@pytest.mark.parametrize(
    ("head", "named"),
    [
        (bytes(4) + b"ftypheic" + bytes(20), "a HEIC image"),
        (b"8BPS" + bytes(20), "a Photoshop image"),
        (b"\xff\x0a" + bytes(20), "a JPEG XL image"),
        (bytes(128) + b"DICM", "a DICOM image"),
        (b"v/1\x01" + bytes(30), "a OpenEXR image"),
        (b"no image at all", r"not an image \(PNG, JPEG, WebP, BMP, GIF, TIFF, Netpbm"),
    ],
)
def test_what_is_not_read_is_named(head: bytes, named: str) -> None:
    with pytest.raises(DecodeError, match=named):
        decode(head)


def test_the_preview_of_a_camera_s_raw_file_is_not_taken_for_it(smooth: np.ndarray) -> None:
    for tag, value in ((254, 1), (50706, b"\1\4\0\0")):
        info = TiffImagePlugin.ImageFileDirectory_v2()
        info[tag] = value
        with pytest.raises(DecodeError, match="raw file that is not read"):
            decode(encoded(Image.fromarray(smooth), "TIFF", tiffinfo=info))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_as_pillow_turns_it(random: np.random.Generator, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(random.integers(0, 256, (5, 7, 3), np.uint8))
    content = encoded(image, "PNG", exif=exif)
    with Image.open(io.BytesIO(content)) as again:
        wanted = np.array(ImageOps.exif_transpose(again))
    result = decode(content)
    assert result.flags.c_contiguous
    assert np.array_equal(result, wanted)


def chunk(kind: bytes, data: bytes, wrong: int = 0) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ wrong)


LARGE = zlib.compress(b"<x:xmpmeta>" + b" " * 3_000_000)
ANCILLARY = {
    "zTXt": chunk(b"zTXt", b"Raw profile\0\0" + LARGE),
    "iTXt": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LARGE),
    "iCCP": chunk(b"iCCP", b"ICC\0\0" + LARGE),
    "iCCP, bad CRC": chunk(b"iCCP", b"ICC\0\0" + zlib.compress(b"x" * 500), 1),
    "pHYs, bad CRC": chunk(b"pHYs", struct.pack(">IIB", 1, 1, 1), 1),
    "tEXt, bad CRC": chunk(b"tEXt", b"Comment\0made by a scanner", 1),
    "much text": b"".join(chunk(b"tEXt", b"k%d\0" % number + b"y" * 60_000) for number in range(1200)),
}


@pytest.mark.parametrize("kind", ANCILLARY)
def test_a_png_is_judged_by_its_pixels_alone(smooth: np.ndarray, kind: str) -> None:
    content = png(smooth)
    assert np.array_equal(decode(content[:33] + ANCILLARY[kind] + content[33:]), smooth)


def test_a_png_s_small_text_and_transparency_stay() -> None:
    content = encoded(Image.new("L", (4, 4), 9), "PNG", transparency=9)
    whole = content[:33] + chunk(b"tEXt", b"a\0b") + content[33:]
    assert cleaned(whole) is whole
    assert decode(content[:33] + ANCILLARY["iCCP"] + content[33:]).min() == 255
    broken = bytearray(whole)
    broken[broken.index(b"IDAT") + 4] ^= 1
    with pytest.raises(DecodeError, match="cut short or damaged"):
        decode(bytes(broken))


def test_images_that_viewers_show_with_a_warning(smooth: np.ndarray) -> None:
    image = Image.fromarray(smooth).resize((160, 120))
    content = encoded(image, "JPEG", quality=90)
    wanted = decode(content)
    for start in (b"\n", b"\r\n"):
        assert np.array_equal(decode(start + content), wanted)
        assert np.array_equal(decode(start + png(smooth)), smooth)
    with pytest.raises(DecodeError, match="not an image"):
        decode(b"\n" * 17 + content)
    pytest.importorskip("simplejpeg")
    for ended in (content[:-2], content[:-2] + b"\0\0\r\n"):
        assert np.array_equal(decode(ended), wanted)
    for cut in (content[:-3], content[: len(content) // 2]):
        with pytest.raises(DecodeError, match="cut short"):
            decode(cut)


def test_a_jpeg_of_more_pixels_than_are_decoded_is_reduced_while_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, columns = np.mgrid[:480, :640]
    array = np.stack([rows // 2, columns // 3, np.full_like(rows, 90)], 2).astype(np.uint8)
    content = encoded(Image.fromarray(array), "JPEG", quality=95)
    wanted = decode(content, size=(24, 32))
    monkeypatch.setattr("alexnet.data.loading.decode.MAX_PIXELS", 480 * 640 * 3 // 4)
    assert np.array_equal(decode(content, size=(24, 32)), wanted)
    with pytest.raises(DecodeError, match="more than 230,400 pixels"):
        decode(content)
    monkeypatch.setattr("alexnet.data.loading.decode.MAX_PIXELS", 480 * 640 // 3)
    with pytest.raises(DecodeError, match="pixels"):
        decode(content, size=(24, 32))


def test_without_antialiasing_as_opencv_resizes(random: np.random.Generator) -> None:
    image = random.integers(0, 256, (31, 45, 3), np.uint8)
    rows, columns = ((np.arange(n) + 0.5) * m / n - 0.5 for n, m in ((9, 31), (12, 45)))
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = (rows - top)[:, None, None], (columns - left)[None, :, None]
    corners = [[image[top + i][:, left + j].astype(float) for j in (0, 1)] for i in (0, 1)]
    wanted = (1 - down) * ((1 - right) * corners[0][0] + right * corners[0][1])
    wanted += down * ((1 - right) * corners[1][0] + right * corners[1][1])
    for content in (png(image), encoded(Image.fromarray(image), "TIFF")):
        assert np.abs(decode(content, 3, (9, 12), "squash", antialias=False) - wanted).max() <= 1
    large = encoded(Image.fromarray(image).resize((450, 310)), "JPEG", quality=95)
    whole = decode(large)
    assert np.array_equal(decode(large, 3, (9, 12), "squash", False), refit(whole, 3, (9, 12), "squash", False))
    assert not np.array_equal(decode(large, 3, (9, 12), "squash"), refit(whole, 3, (9, 12), "squash", False))


@pytest.mark.parametrize(
    ("found", "floats", "wanted"),
    [
        ([(0, 1023), (3, 900)], False, (0, 1023)),
        ([(5, 3000)], False, (0, 4095)),
        ([(0, 70)], False, (0, 255)),
        ([(0, 40_000)], False, None),
        ([(51_241, 52_001)], False, (51_241, 52_001)),
        ([(-100, 900)], False, (-100, 900)),
        ([(7, 7)], False, (7, 8)),
        ([(0.0, 0.9)], True, None),
        ([(0.0, 250.0)], True, (0, 255)),
        ([(-1.0, 1.0)], True, (-1, 1)),
    ],
)
def test_the_range_that_serves_all_images(found: list[Range], floats: bool, wanted: Range | None) -> None:
    assert common_range(found, floats) == wanted


def test_deep_samples_are_spread_over_the_range() -> None:
    samples = np.array([[0, 1, 512, 1023, 2000]], np.uint16)
    assert decode(png(samples), 1, samples=(0, 1023))[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    floats = encoded(Image.fromarray(np.array([[-1.0, 0.0, 1.0, np.nan]], np.float32)), "TIFF")
    assert decode(floats, 1, samples=(-1, 1))[0, :, 0].tolist() == [0, 128, 255, 0]
    assert decode(floats, 1)[0, :, 0].tolist() == [0, 0, 255, 0]


MEASURED = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from alexnet.data.loading.decode import DecodeError, decode
from alexnet.data.loading.memory import DECODING
def tried(content):
    try:
        return str(decode(content, 3, (64, 64)).shape)
    except DecodeError as error:
        return error.reason
content = sys.stdin.buffer.read()
tried(content[:100])
if int(sys.argv[1]) > 1:
    DECODING.most = 200 * 2**20
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    print({*pool.map(tried, [content] * int(sys.argv[2]))})
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def measured(content: bytes, threads: int = 1, times: int = 1) -> tuple[str, int]:
    """What decoding says, and the MiB that it adds to a process."""
    command = [sys.executable, "-c", MEASURED, str(threads), str(times)]
    said, added = subprocess.run(command, input=content, capture_output=True, check=True).stdout.decode().splitlines()
    return said, int(added)


def test_the_memory_of_all_threads_is_counted() -> None:
    content = encoded(Image.new("RGBA", (4000, 4000), (9, 9, 9, 90)), "PNG", compress_level=1)
    said, added = measured(content, 4, 4)
    assert said == "{'(64, 64, 3)'}"
    assert added < 260  # each takes 107 MiB of the 200 that are shared here; four threads at once would take 428


def test_a_format_whose_decoder_takes_much_is_refused_earlier() -> None:
    webp = bytearray(encoded(Image.new("RGB", (16, 16)), "WEBP"))
    place = webp.index(b"\x9d\x01\x2a") + 3  # the start code of a VP8 frame; width and height follow
    webp[place : place + 4] = struct.pack("<HH", 16_383, 5_461)
    said, added = measured(bytes(webp))
    assert "needs more than 768 MiB to decode" in said
    assert added < 100


@pytest.mark.parametrize(
    ("kind", "mode", "more", "least"),
    [
        ("PNG", "RGB", {}, 7 * 10**6),
        ("PNG", "L", {}, 4 * 10**6),
        ("WEBP", "RGB", {}, 23 * 10**6),
        ("JPEG", "RGB", {"info": {"progressive": 1}}, (7 + 6 * 64) * 10**6),
        ("TIFF", "RGB", {"tag_v2": {322: 9000, 323: 9000}}, 16 * 81 * 10**6),
    ],
)
def test_what_an_image_costs(kind: str, mode: str, more: dict[str, object], least: int) -> None:
    """A progressive JPEG that is reduced keeps the coefficients of all 64 million pixels; a tile is unpacked whole."""
    image = SimpleNamespace(**{"format": kind, "mode": mode, "width": 1000, "height": 1000, "info": {}} | more)
    assert least <= _cost(image, 64 * 10**6) < 1.2 * least  # pyright: ignore[reportArgumentType]


def test_a_budget_lets_wait_and_refuses() -> None:
    budget = Budget(10)
    with pytest.raises(MemoryError, match="needs more"), budget.held(11):
        pass
    order: list[str] = []

    def late() -> None:
        with budget.held(6):
            order.append("late")

    with ThreadPoolExecutor(1) as pool:
        with budget.held(5):
            waiting = pool.submit(late)
            time.sleep(0.05)
            order.append("first")
        waiting.result()
    assert order == ["first", "late"]


def test_a_bomb_takes_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DecodeError, match=f"{MAX_PIXELS:,}"):
        decode(bomb())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB; decoded it has 7 GiB


def test_corrupt_exif_does_not_make_a_image_unreadable_nor_warn_in_any_thread(smooth: np.ndarray) -> None:
    content = encoded(Image.fromarray(smooth), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff broken")
    with warnings.catch_warnings(record=True) as warned, ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("always")
        shapes = {image.shape for image in pool.map(decode, [content] * 40)}
    assert shapes == {smooth.shape}
    assert not warned


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"quality": 30, "progressive": True}, {"subsampling": 0}, {"subsampling": 1}])
def test_the_short_way_gives_pillows_pixels(
    random: np.random.Generator, monkeypatch: pytest.MonkeyPatch, mode: str, options: dict[str, object]
) -> None:
    pytest.importorskip("simplejpeg")
    blobs = Image.fromarray(random.integers(0, 256, (8, 9, 3), np.uint8)).resize((67, 51)).convert(mode)
    content = encoded(blobs, "JPEG", **options)
    short = [decode(content, 3), decode(content, 1, (40, 40)), decode(content[:-40] + content[-2:])]
    monkeypatch.setattr("alexnet.data.loading.decode.jpeg", None)
    long = [decode(content, 3), decode(content, 1, (40, 40)), decode(content[:-40] + content[-2:])]
    assert all(map(np.array_equal, short, long))
    assert np.array_equal(long[0], np.array(Image.open(io.BytesIO(content)).convert("RGB")))


@pytest.mark.parametrize("size", [(40, 40), (51, 30), (90, 120)])
def test_resizing_is_pillows_to_a_rounding(random: np.random.Generator, size: tuple[int, int]) -> None:
    image = random.integers(0, 256, (51, 67, 3), np.uint8)
    wanted = np.array(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(refit(image, 3, size, "squash") - wanted).max() <= 1

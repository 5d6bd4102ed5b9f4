"""The decoder: every kind of image the same way, and every kind of broken one refused in one line."""

import io
import resource
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from makers import bomb, png
from PIL import Image

from alexnet.data.loading.decode import MAX_PIXELS, DecodeError, decode, prepare, refit, stored_size
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
        "vector.svg.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
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


def test_other_formats_are_refused(smooth: np.ndarray) -> None:
    with pytest.raises(DecodeError, match="not an image"):
        decode(encoded(Image.fromarray(smooth), "TIFF"))


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

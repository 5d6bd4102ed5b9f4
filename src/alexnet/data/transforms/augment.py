"""From uint8 images to a network's input, in batches, on whichever device the images are: augmented or plain.

Crop, shift and flip are one gather; normalization and PCA color augmentation are one multiply-add. Only a few random
numbers per image come from the CPU.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from alexnet.data.transforms.color import Part, PCAColor, rand_augment
from alexnet.data.transforms.windows import rectangle, resized_crop, square, window
from alexnet.device import derive_seed
from alexnet.errors import InputError, counted
from alexnet.preprocessing import Preprocessing

FILLS = ("mean", "black", "edge")


class Augmenter:
    """Normalizes images for a network and, in training, crops, flips, shifts, relights and cuts out at random.

    - Images larger than `preprocessing.size` are cropped: at random in training, in the center in evaluation.
    - `shared`: so many images in a row share crop, shift, flip and cutout (32 in convdata_jpeg.py of 2012).
    - `flip`: probability of mirroring left to right.
    - `shift`: the largest shift as a fraction of the input's side (0–1), both ways on both axes, uniform; in whole
      pixels, or with `interpolate` continuous and bilinear as Keras 2's ImageDataGenerator does it (SciPy's 'constant'
      mode: a pixel whose source lies outside the outermost pixel centers is border, without blending).
    - `fill`: the border that a shift leaves is 'mean' (0 after normalization, as ImageDataGenerator fills it when the
      images were normalized first), 'black' or 'edge' (the outermost pixels repeated).
    - `resized_crop`: (least, greatest) share of the image that is cut out and resized in place of crop and shift,
      its width over height from `crop_ratio`; bilinear, meant for images stored a little larger than the input.
    - `randaugment_ops`, `randaugment_magnitude`: operations per image of `color.rand_augment`, and their strength 0–1.
    - `pca_color`: shifts along the principal components of the training images' colors.
    - `cutout`: side in pixels of a square with its center anywhere in the input, clipped at the border, filled with
      the mean color (DeVries and Taylor, 2017); 0: none.
    - `random_erasing`: probability of a rectangle of 2–40 % of the input (Zhong et al. 2017, arXiv 1708.04896), filled
      with one random color, or with the mean color as in its authors' code (`random_erasing_fill` 'random' or 'mean').

    Images are uint8 N×H×W×C; the result is float32 N×C×height×width in channels_last memory. `MeanImage` says what
    becomes of a mean image.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        *,
        shared: int = 1,
        flip: float = 0.0,
        shift: float = 0.0,
        interpolate: bool = False,
        fill: str = "mean",
        resized_crop: Sequence[float] = (),
        crop_ratio: Sequence[float] = (3 / 4, 4 / 3),
        randaugment_ops: int = 0,
        randaugment_magnitude: float = 0.3,
        pca_color: PCAColor | None = None,
        cutout: int = 0,
        random_erasing: float = 0.0,
        random_erasing_fill: str = "random",
    ) -> None:
        if fill not in FILLS:
            raise InputError(f"augmentation: fill is {fill!r}; choose one of: {', '.join(FILLS)}")
        for name, value in (("flip", flip), ("shift", shift), ("random_erasing", random_erasing)):
            if not 0 <= value <= 1:
                raise InputError(f"augmentation: {name} is {value}; it must lie between 0 and 1")
        if cutout < 0:
            raise InputError(f"augmentation: cutout is {cutout}; it must be a side in pixels, or 0 for none")
        self.preprocessing = preprocessing
        self.shared = shared
        self.flip = flip
        self.shift = shift
        self.interpolate = interpolate and shift > 0
        self.fill = fill
        self.resized_crop, self.crop_ratio = resized_crop, crop_ratio
        self.randaugment_ops, self.randaugment_magnitude = randaugment_ops, randaugment_magnitude
        self.pca_color = pca_color
        self.cutout = cutout
        self.random_erasing, self.random_erasing_fill = random_erasing, random_erasing_fill
        channels, width = preprocessing.channels, preprocessing.size[1]
        mean = torch.tensor(preprocessing.mean, dtype=torch.float64).expand(channels)
        std = torch.tensor(preprocessing.std, dtype=torch.float64).expand(channels)
        # One constant per element of a row of pixels: on a CPU five times as fast as broadcasting over 3 channels.
        self._factor = (preprocessing.scale / std).float().repeat(width)
        self._offset = (-mean / std).float().repeat(width)
        if preprocessing.mean_image is not None:
            image = (-torch.from_numpy(preprocessing.mean_image.pixels) / std).float()
            self._offset = image[None] if preprocessing.mean_by_place else image.flatten(1)
        self._mean_color = (mean / preprocessing.scale).float()  # what 'mean' fills on the scale of the images

    def train(self, images: Tensor, generator: torch.Generator, epoch: float = 0.0, part: Part | None = None) -> Tensor:
        """Augmented and normalized. Each image's draws are its own; `generator` is on the CPU.

        Seven numbers are drawn per image whatever is switched on, and one seed more when anything beyond crop, shift,
        flip and cutout is: each of these has a stream of its own. `epoch` (from 0) decides whether there is
        PCA color augmentation.
        Of a `part` of a batch each image gets what it would get in the whole.
        """
        count, rows = part or (len(images), slice(None))
        size, (top_most, left_most) = self.preprocessing.size, self._spare(images)
        own = rows if self.shared == 1 else (torch.arange(count) // self.shared * self.shared)[rows]
        draws = torch.rand(count, 7, generator=generator)[own].to(images.device, non_blocking=True)
        crop_y, crop_x, shift_y, shift_x, flip, cutout_y, cutout_x = draws.unbind(1)
        lit = self.pca_color if self.pca_color and epoch < self.pca_color.until else None
        more = self.resized_crop or self.randaugment_ops or lit or self.random_erasing
        seed = int(torch.randint(2**62, (), generator=generator)) if more else 0

        def cut(images: Tensor) -> tuple[Tensor, Tensor | None]:
            if not (self.resized_crop or self.flip or self.shift or top_most or left_most):
                return images, None
            mirrored = flip < self.flip
            if self.resized_crop:
                where = torch.rand(count, 4, generator=_stream(seed, "crop"))[own].to(images.device, non_blocking=True)
                images = images.expand(len(where), -1, -1, -1)
                return resized_crop(images, where, mirrored, self.resized_crop, self.crop_ratio, size), None
            top = (crop_y * (top_most + 1)).floor() + self._shift(shift_y, size[0])
            left = (crop_x * (left_most + 1)).floor() + self._shift(shift_x, size[1])
            return window(images, top, left, mirrored, size, self.interpolate)

        pixels, inside = cut(images)
        if self.randaugment_ops:
            fill, stream = self._fill_color(pixels), _stream(seed, "rand")
            pixels = rand_augment(
                pixels, self.randaugment_ops, self.randaugment_magnitude, fill, stream, (count, rows), inside
            )
            inside = None
        hole = square(torch.stack((cutout_y, cutout_x), 1), self.cutout, size) if self.cutout else None
        shifts = self._shifts(lit, count, seed)
        offset = self._offset_of(lambda whole: cut(whole)[0])
        result = self._bordered(pixels, inside, offset, hole, None if shifts is None else shifts[rows])
        if self.random_erasing:
            self._erase(result, _stream(seed, "erase"), count, rows)
        return result

    def evaluate(self, images: Tensor) -> Tensor:
        """Normalized, the center of larger images; no randomness."""
        top, left = (spare // 2 for spare in self._spare(images))
        height, width = self.preprocessing.size
        center = (slice(None), slice(top, top + height), slice(left, left + width))
        return self._normalize(images[center], self._offset_of(lambda whole: whole[center]))

    def view(self, images: Tensor, top: int, left: int, mirrored: bool) -> Tensor:
        """Normalized, the input's window from (top, left) on; outside the image it is filled as in training."""
        self._spare(images)
        at = torch.tensor((top, left), dtype=torch.float32, device=images.device).expand(len(images), 2)
        turned = torch.full((len(images),), mirrored, device=images.device)
        size = self.preprocessing.size
        offset = self._offset_of(lambda whole: window(whole, at[:, 0], at[:, 1], turned, size)[0])
        return self._bordered(*window(images, at[:, 0], at[:, 1], turned, size), offset)

    def _spare(self, images: Tensor) -> tuple[int, int]:
        """Rows and columns by which the images exceed the input; InputError when they do not fit the network.

        The constants go where the images are.
        """
        (height, width), channels = self.preprocessing.size, self.preprocessing.channels
        if images.dtype != torch.uint8:
            raise InputError(f"images must be uint8, not {images.dtype}")
        if images.shape[1] < height or images.shape[2] < width or images.shape[3] not in (1, channels):
            raise InputError(
                f"images of {images.shape[1]}×{images.shape[2]} with {counted(images.shape[3], 'channel')} do not fit "
                f"a network that takes {height}×{width} with {channels}"
            )
        if self.preprocessing.mean_by_place and images.shape[1:3] != self._offset.shape[1:3]:
            stored, own = ("×".join(map(str, each.shape[1:3])) for each in (images, self._offset))
            raise InputError(f"images are stored at {stored}, their mean image at {own}")
        if self._factor.device != images.device:
            self._factor, self._offset = self._factor.to(images.device), self._offset.to(images.device)
        return images.shape[1] - height, images.shape[2] - width

    def _offset_of(self, cut: Callable[[Tensor], Tensor]) -> Tensor:
        """What is added to a row of pixels after scaling: [width·C], or [height, width·C], or one such per image.

        `cut` gives the mean image's part that belongs to the part of the images that is used.
        """
        return cut(self._offset).flatten(2) if self.preprocessing.mean_by_place else self._offset

    def _shift(self, draw: Tensor, side: int) -> Tensor:
        """Pixels to shift by, from draws in [0, 1)."""
        if self.interpolate:
            return (2 * draw - 1) * (self.shift * side)
        most = round(self.shift * side)
        return (draw * (2 * most + 1)).floor() - most

    def _bordered(
        self,
        pixels: Tensor,
        inside: Tensor | None,
        offset: Tensor,
        hole: Tensor | None = None,
        shifts: Tensor | None = None,
    ) -> Tensor:
        """Normalized, with `fill` where pixels do not lie `inside` and the mean color in the `hole`, bool N×h×w."""
        keep = None if hole is None else ~hole
        if inside is not None and self.fill == "black":
            pixels = pixels * inside[..., None]
        elif inside is not None and self.fill == "mean":
            keep = inside if keep is None else inside & keep
        result = self._normalize(pixels, offset, shifts)
        if keep is not None:
            result *= keep[:, None]  # 0 is the mean color
        return result

    def _fill_color(self, pixels: Tensor) -> Tensor | None:
        """The color of `fill` for `pixels` N×h×w×C, on their scale, float [C] or [1]; None: the edge."""
        if self.fill == "edge":
            return None
        color = self._in_order(self._mean_color) if self.fill == "mean" else torch.zeros_like(self._mean_color)
        return (color if len(color) == pixels.shape[3] else color.mean(0, keepdim=True)).to(pixels.device)

    def _in_order(self, channels: Tensor) -> Tensor:
        """Channels in the images' order from the network's order, or the other way round."""
        return channels.flip(-1) if self.preprocessing.colors == "BGR" else channels

    def _shifts(self, lit: PCAColor | None, count: int, seed: int) -> Tensor | None:
        """What PCA color augmentation adds to the normalized channels, in the network's order; float32 N×C (CPU)."""
        if lit is None:
            return None
        std = torch.tensor(self.preprocessing.std)
        shifts = self._in_order(lit.shifts(count, _stream(seed, "pca_color")))
        return shifts * (255 * self.preprocessing.scale) / std

    def _erase(self, result: Tensor, generator: torch.Generator, count: int, rows: slice) -> None:
        """Lays rectangles over some of the images, in place."""
        channels = result.shape[1]
        chance = torch.rand(count, generator=generator)[rows]
        where = torch.rand(count, 4, generator=generator)[rows]
        colors = torch.rand(count, channels, generator=generator)[rows] * (255 * self.preprocessing.scale)
        mean, std = (torch.tensor(each) for each in (self.preprocessing.mean, self.preprocessing.std))
        colors = (colors - mean) / std if self.random_erasing_fill == "random" else torch.zeros_like(colors)
        index = (chance < self.random_erasing).nonzero()[:, 0]  # on the CPU: no waiting for a GPU
        there, where, colors = (
            each.to(result.device, non_blocking=True) for each in (index, where[index], colors[index])
        )
        inside = rectangle(where, _ERASED_AREA, _ERASED_RATIO, self.preprocessing.size)
        result.index_copy_(0, there, torch.where(inside[:, None], colors[:, :, None, None], result[there]))

    def _normalize(self, pixels: Tensor, offset: Tensor, shifts: Tensor | None = None) -> Tensor:
        """N×h×w×C, uint8 or float, to the network's channels and range, float32 N×C×h×w in channels_last memory.

        `offset`: of `_offset_of`. `shifts` N×C: what PCA color augmentation adds to the channels.
        """
        count, height, width, _ = pixels.shape
        channels = self.preprocessing.channels
        if pixels.shape[3] < channels:
            pixels = pixels.expand(-1, -1, -1, channels)
        elif self.preprocessing.colors == "BGR":
            pixels = pixels.flip(3)
        factor = self._factor
        if shifts is not None and self.pca_color:
            added = shifts.to(pixels.device, non_blocking=True).repeat(1, width)[:, None]
            factor, offset = factor / self.pca_color.divisor, (offset + added) / self.pca_color.divisor
        rows = pixels.reshape(count, height, width * channels)
        if rows.device.type != "cpu" or torch.compiler.is_compiling():
            result = rows.float().mul_(factor).add_(offset)
        else:  # three passes over what is still in the cache
            result, step = torch.empty(rows.shape), max(1, _IN_CACHE // (height * width * channels))
            offsets = offset[(None,) * (3 - offset.ndim)].expand(count, -1, -1)  # one for all, by pixel, or by image
            for first in range(0, count, step):
                part = slice(first, first + step)
                result[part].copy_(rows[part]).mul_(factor).add_(offsets[part])
        return result.view(count, height, width, channels).permute(0, 3, 1, 2)


_IN_CACHE = 2**18  # values of 4 bytes
# As github.com/zhunzhong07/Random-Erasing has them; torchvision and timm stop at .33 and 3.3.
_ERASED_AREA, _ERASED_RATIO = (0.02, 0.4), (0.3, 1 / 0.3)


def _stream(seed: int, use: str) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, use))

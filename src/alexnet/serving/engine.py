"""A model as the server holds it: images in, probabilities out, batched while they wait."""

import io
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from alexnet.data.dataset import pool
from alexnet.data.loading import decode
from alexnet.data.transforms.augment import Augmenter
from alexnet.errors import InputError
from alexnet.inference.model import Model
from alexnet.inference.runtimes import ready
from alexnet.models.quick import quicken
from alexnet.serving.batching import Answer, Batcher, Full
from alexnet.serving.limits import Limits
from alexnet.serving.problems import Problem, busy, of_many

AGREE = {"fp32": 1e-5, "bf16": 0.05, "int8": 0.05}
"""How far the probabilities of the form that serves may be from the plain network's, by precision.

In fp32 the batch that an image waits in moves a probability by less than this: the order of a matrix product's sums
depends on the number of rows.
"""
_pillow = threading.Lock()  # warning filters are shared by all threads


class Engine:
    """One model under one name."""

    def __init__(
        self,
        name: str,
        model: Model,
        limits: Limits,
        precision: str = "fp32",
        batch: int = 64,
        runtime: str = "torch",
    ) -> None:
        """Raises InputError when the form that serves does not answer as the plain network does."""
        self.name, self.model, self.limits = name, model, limits
        quick = ready(model, precision, runtime)
        self.precision, self.runtime = quick.precision, quick.runtime
        self._module = quicken(quick.module)
        self._augmenter = Augmenter(model.preprocessing)
        self.size = decode.stored_size(model.preprocessing.size, model.preprocessing.resize)
        self._prove()
        self.batcher = Batcher(self.probabilities, most=batch, capacity=limits.waiting_images)

    def answer(self, contents: Sequence[bytes]) -> Answer:
        """The probabilities of encoded images, float32 N×K: decoded in threads, then run with what else waits.

        A thread hands them to the batcher itself: a request comes back to the event loop once, when it is answered.
        Raises Problem 503 when there is no room; the result raises what `decoded` does.
        """
        room(self, len(contents))
        reading = _Reading(self, contents)
        for place in range(len(contents)):
            pool().submit(reading.read, place)
        return reading.result

    @torch.inference_mode()
    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """uint8 N×H×W×C at the stored size → float32 N×K."""
        inputs = self._augmenter.evaluate(torch.from_numpy(images))
        return self.model.probabilities(self._module(inputs)).numpy()

    def inputs(self, image: np.ndarray) -> torch.Tensor:
        """What the network gets for one image: float32 1×C×H×W."""
        return self._augmenter.evaluate(torch.from_numpy(image[None]))

    def decoded(self, content: bytes) -> np.ndarray:
        """An encoded image as uint8 H×W×C at the stored size. Raises Problem 413, 415 or 422."""
        self._check_pixels(content)
        try:
            return decode.prepare(content, self.model.preprocessing)
        except InputError as error:
            reason = str(error).removeprefix("image: ")
            unread = "not an image" in reason or "is not read" in reason
            raise Problem(415 if unread else 422, f"the image cannot be read: {reason}") from None

    def decoded_of(self, contents: Sequence[bytes], place: int) -> np.ndarray:
        """`decoded` of one image of a request; a Problem says which one it is."""
        try:
            return self.decoded(contents[place])
        except Problem as problem:
            raise Problem(problem.status, of_many(problem.detail, place, len(contents)), problem.headers) from None

    def _check_pixels(self, content: bytes) -> None:
        if not content:
            raise Problem(422, "the image is empty")
        try:
            with _pillow, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                width, height = Image.open(io.BytesIO(content), formats=decode.FORMATS).size
        except Image.DecompressionBombError:
            raise Problem(413, f"an image may have at most {self.limits.pixels:,} pixels") from None
        except Exception:  # broken content makes Pillow raise nearly anything; the decoder says what is wrong
            return
        if width * height > self.limits.pixels:
            raise Problem(413, f"an image may have at most {self.limits.pixels:,} pixels, not {width:,} × {height:,}")

    def fitted(self, image: np.ndarray) -> np.ndarray:
        """A decoded image, uint8 H×W×C, at the stored size and with the model's channels."""
        wants = self.model.preprocessing
        return decode.refit(image, wants.channels, self.size, wants.fit, wants.antialias)

    def close(self) -> None:
        self.batcher.close()

    def _prove(self) -> None:
        """The form that serves must answer as the plain network does, on images that reach all of its range."""
        shape = (4, *self.size, self.model.preprocessing.channels)
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        with torch.inference_mode():
            inputs = self._augmenter.evaluate(torch.from_numpy(images))
            plain = self.model.probabilities(self.model.module(inputs)).numpy()
        found = self.probabilities(images)
        worst = float(np.abs(found - plain).max())
        if not worst <= AGREE[self.precision]:  # also when it is not a number
            raise InputError(
                f"{self.name} is not served: in {self.precision} its probabilities are {worst:.2g} off the plain "
                f"network's, and {AGREE[self.precision]:g} is allowed"
            )


class _Reading:
    """The images of a request while they are decoded; whoever decodes the last one submits them."""

    def __init__(self, engine: Engine, contents: Sequence[bytes]) -> None:
        self.result: Answer = Future()
        self._engine, self._contents = engine, contents
        self._images = [np.empty(0, np.uint8)] * len(contents)
        self._left, self._lock = len(contents), threading.Lock()
        self._failed: BaseException | None = None

    def read(self, place: int) -> None:
        try:
            if not (self._failed or self.result.cancelled()):
                self._images[place] = self._engine.decoded_of(self._contents, place)
        except BaseException as error:  # whatever it is, nobody may wait forever
            self._failed = error
        with self._lock:
            self._left -= 1
            last = not self._left
        if last:
            self._submit()

    def _submit(self) -> None:
        batcher = self._engine.batcher
        try:
            if self._failed is not None:
                raise self._failed
            images = np.stack(self._images)
        except BaseException as error:
            batcher.withdraw(len(self._images))
            self._fail(error)
            return
        try:
            batcher.submit(images, self.result, announced=True)
        except Full:  # it was closed
            self._fail(busy())

    def _fail(self, error: BaseException) -> None:
        if self.result.set_running_or_notify_cancel():
            self.result.set_exception(error)


class Engines:
    """The models of a server by name; the first is the one that answers when none is named."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self.all = {engine.name: engine for engine in engines}
        self.first = engines[0]

    def get(self, name: str | None) -> Engine:
        if name is None:
            return self.first
        if name not in self.all:
            raise Problem(404, f"there is no such model; choose one of: {', '.join(self.all)}")
        return self.all[name]

    def close(self) -> None:
        for engine in self.all.values():
            engine.close()


def named(models: Sequence[Model]) -> list[str]:
    """A name for each model that fits into a path: its run's folder, else its file; -2, -3 … where they are equal."""
    names: list[str] = []
    for model in models:
        path = Path(model.path)
        plain = path.stem if path.suffix == ".safetensors" and path.stem not in ("best", "last") else path.name
        if path.stem in ("best", "last"):
            plain = path.absolute().parent.name
        plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in plain)[:60].strip(".") or "model"
        number, name = 1, plain
        while name in names:
            number += 1
            name = f"{plain}-{number}"
        names.append(name)
    return names


def room(engine: Engine, images: int) -> None:
    """Announces images to an engine's batcher; Problem 503 when it is full."""
    try:
        engine.batcher.expect(images)
    except Full:
        raise busy() from None

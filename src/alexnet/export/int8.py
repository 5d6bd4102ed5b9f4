"""Eight-bit integers: ONNX Runtime's static quantization, and what it costs and gains."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from alexnet.data.dataset import Dataset
from alexnet.errors import InputError
from alexnet.graphs.onnx_graph import Session
from alexnet.inference.data import dataset_for, fitted, spread
from alexnet.inference.label_metrics import HALF, mean_average_precision, per_label
from alexnet.inference.model import Model

CALIBRATION = 256
"""Images from which the activations' ranges are taken."""
MAX_LOSS = 0.02
"""Top-1 accuracy, of several labels an image mAP, that int8 may lose, as a fraction, unless a caller accepts more."""
_BATCH = 16
_ROUNDS = 10


@dataclass(frozen=True)
class Quantized:
    """The int8 network against the float32 one, both in ONNX Runtime on this machine."""

    float_bytes: int
    int8_bytes: int
    float_ms: float
    """Median time of a batch."""
    int8_ms: float
    speed: float
    """float_ms / int8_ms of batches timed in turn (A B A B …); above 1 is faster."""
    batch: int
    rounds: int
    calibrated_on: int
    measured_on: int
    float_score: float
    int8_score: float
    what: str = "top1"
    """What the scores are, as fractions: top1, or of several labels an image map."""
    difference: float = 0.0
    """Largest difference of a probability from the float graph's, on the images that it is measured on."""
    same: int = 0
    """Images of which both name the same class, or label, first."""

    @property
    def lost(self) -> float:
        """Of the score, as a fraction; below 0 is gained."""
        return self.float_score - self.int8_score

    @property
    def name(self) -> str:
        return {"top1": "top-1 accuracy", "map": "mAP"}[self.what]

    def to_json(self) -> dict[str, Any]:
        """The scores under the name of what they are: float_top1 and int8_top1, or float_map and int8_map."""
        told = asdict(self)
        scores = {f"{kind}_{self.what}": told.pop(f"{kind}_score") for kind in ("float", "int8")}
        del told["what"]
        return {**told, **scores, "lost": self.lost}


def images(model: Model, data: Path | None) -> tuple[np.ndarray, Dataset]:
    """Images to calibrate on (uint8 N×H×W×C) and labeled ones to measure on; no image is both.

    A run's own: training images, and the test or validation split. Of `data`: every other image, up to
    CALIBRATION, and the rest. InputError where there are none: an accuracy that cannot be measured is not exported.
    """
    try:
        measured = fitted(model, dataset_for(model, data))
        if data is None:
            training = fitted(model, dataset_for(model, None, "train"))
            return training.batch(spread(len(training), CALIBRATION)), measured
    except InputError as error:
        raise InputError(f"int8 needs labeled images to calibrate on and to measure: {error}") from None
    if measured.multilabel and not measured.targets.any():
        raise InputError("int8 needs labeled images to measure its mAP on, and none of these has a label")
    if len(measured) < 2:
        raise InputError("int8 needs at least two labeled images: to calibrate on, and to measure")
    first = np.arange(0, len(measured), 2)
    chosen = first[spread(len(first), CALIBRATION)]
    return measured.batch(chosen), measured.subset(np.setdiff1d(np.arange(len(measured)), chosen))


def check(found: Quantized, max_loss: float) -> None:
    """InputError where int8 lost more than `max_loss` of its score."""
    if found.lost > max_loss:
        raise InputError(
            f"int8 loses {100 * found.lost:.1f} points of {found.name} ({found.float_score:.1%} → "
            f"{found.int8_score:.1%} on {found.measured_on:,} images that did not calibrate it), more than --max-loss "
            f"{max_loss:g}; nothing was written. --max-loss 1 writes it all the same"
        )


def quantize(exact: bytes, calibration: np.ndarray) -> bytes:
    """An ONNX graph with int8 weights per channel and uint8 activations around convolutions, fully-connected and pools.

    Weights use 7 of 8 bits: without VNNI, x86 adds pairs of products in 16 bits, which 8 would overflow.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, result = (Path(folder) / name for name in ("float.onnx", "prepared.onnx", "int8.onnx"))
        source.write_bytes(exact)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            result,
            _Reader(calibration),
            op_types_to_quantize=["Conv", "Gemm", "MaxPool"],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return result.read_bytes()


def measure(exact: bytes, quantized: bytes, dataset: Dataset, calibrated_on: int) -> Quantized:
    """Times both networks in turn and scores what each says."""
    sessions = (Session(exact), Session(quantized))
    said: list[list[np.ndarray]] = [[], []]
    for batch in np.array_split(np.arange(len(dataset)), -(-len(dataset) // _BATCH)):
        images = dataset.batch(batch)
        for which, session in enumerate(sessions):
            said[which].append(session(images)[0])
    exactly, roughly = (np.concatenate(each) for each in said)
    scores = [_score(dataset, each) for each in (exactly, roughly)]
    timed = dataset.batch(np.arange(_BATCH) % len(dataset))
    times: list[list[float]] = [[], []]
    for _ in range(_ROUNDS):
        for which, session in enumerate(sessions):
            start = time.perf_counter()
            session(timed)
            times[which].append(1e3 * (time.perf_counter() - start))
    float_ms, int8_ms = map(statistics.median, times)
    return Quantized(
        float_bytes=len(exact),
        int8_bytes=len(quantized),
        float_ms=float_ms,
        int8_ms=int8_ms,
        speed=float_ms / int8_ms,
        batch=_BATCH,
        rounds=_ROUNDS,
        calibrated_on=calibrated_on,
        measured_on=len(dataset),
        float_score=scores[0],
        int8_score=scores[1],
        what="map" if dataset.multilabel else "top1",
        difference=float(np.abs(exactly - roughly).max()),
        same=int((exactly.argmax(1) == roughly.argmax(1)).sum()),
    )


def _score(dataset: Dataset, probabilities: np.ndarray) -> float:
    if not dataset.multilabel:
        return float((probabilities.argmax(1) == dataset.labels).mean())
    halves = np.full(len(dataset.classes), HALF)
    return mean_average_precision(per_label(dataset.targets, probabilities, halves))


class _Reader(CalibrationDataReader):
    """Hands the calibration images over in batches."""

    def __init__(self, images: np.ndarray):
        self._batches: Iterator[np.ndarray] = iter(np.array_split(images, -(-len(images) // _BATCH)))

    def get_next(self) -> dict[str, np.ndarray]:
        """The next batch; empty at the end."""
        batch = next(self._batches, None)
        return {} if batch is None else {"images": batch}

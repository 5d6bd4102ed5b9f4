"""LitServe serving one of our networks in fp32, with its own batching: what `alexnet load --peer-python` compares with.

Run by a Python that has litserve and this package's dependencies: `python litserve_peer.py MODEL BATCH` prints the
port once it answers. LitServe: https://github.com/Lightning-AI/LitServe
"""

import base64
import contextlib
import socket
import sys
import threading
import time
import urllib.request
from typing import Any

import litserve  # pyright: ignore[reportMissingImports]
import numpy as np
import torch

import alexnet
from alexnet.data.loading import decode
from alexnet.data.transforms.augment import Augmenter


class Classifier(litserve.LitAPI):
    """Decodes with our decoder, so that the servers alone differ; answers as /v1/predict does."""

    def setup(self, device: str) -> None:
        self.model = alexnet.load(sys.argv[1])
        self.augmenter = Augmenter(self.model.preprocessing)

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        return decode.prepare(base64.b64decode(request["images"][0]), self.model.preprocessing)

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, x: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(x if x.ndim == 4 else x[None])
        with torch.inference_mode():
            return self.model.module(self.augmenter.evaluate(images)).softmax(1).numpy()

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        row = output.reshape(-1)
        best = np.argsort(-row, kind="stable")[:5]
        found = [{"label": self.model.classes[i], "score": float(row[i])} for i in best]
        return {"results": [{"predictions": found}]}


def _tell(port: int) -> None:
    """Prints the port once the server is ready."""
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            if answer.status == 200:
                print(port, flush=True)
                return
        time.sleep(0.1)


def main() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threading.Thread(target=_tell, args=(port,), daemon=True).start()
    api = Classifier(max_batch_size=int(sys.argv[2]), batch_timeout=0.005, api_path="/v1/predict")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=port, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()

"""A network with 8-bit weights: onnxruntime in place of torch, one and a half times as fast.

The graph is made from the model directory on first use, and kept in the folder of caches under the
hash of the model's manifest: it cannot belong to another model, and the second start is quick.
"""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ulmfit.artifacts.directory import Artifact
from ulmfit.base.atomic import atomic_write
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.base.progress import Progress
from ulmfit.inference.onnx_session import LIBRARIES, batches, run, start_session
from ulmfit.inference.scoring import training_shares
from ulmfit.text.corpus import Corpus, TokenizedTexts, cache_folder, tokenize_texts
from ulmfit.text.ids import Text
from ulmfit.text.known import Known, known_tokens

if TYPE_CHECKING:
    from ulmfit.inference.loaded import LoadedModel

INT8 = "int8"  # in place of a number format
_GRAPH = 1  # version of the graph that `onnx_graph` makes
_ALONE = 1 << 22  # characters up to which no worker processes tokenise, as in `loaded`


class LoadedInt8:
    """Like a `LoadedModel`, with 8-bit weights.

    Raises:
        UserError: onnxruntime, or what makes the graph, is not installed.
    """

    precision = INT8

    def __init__(self, artifact: Artifact) -> None:
        check_installed()
        self.artifact, manifest = artifact, artifact.manifest
        self.backwards = manifest.direction == "backward"
        config = manifest.classifier_config
        self.prior = training_shares(config.prior, len(manifest.labels))
        self.temperature = float(config.temperature or 1)
        self.labels = manifest.labelling
        self.processor = artifact.processor()
        self.tokenizer_key = self.processor.tokenizer_key()
        self.session = start_session(str(graph_file(artifact)))
        self._exact: LoadedModel | None = None

    @property
    def reading(self) -> str:
        """How it reads, for a heading."""
        return self.artifact.manifest.direction

    def exact(self) -> "LoadedModel":
        """The same model in torch, for what needs gradients; loaded once."""
        from ulmfit.inference.loaded import LoadedModel

        self._exact = self._exact or LoadedModel(self.artifact)
        return self._exact

    def tokenize(self, texts: Sequence[Text]) -> TokenizedTexts:
        """The tokens of the texts."""
        alone = sum(len(text) for text in texts if isinstance(text, str)) <= _ALONE
        return tokenize_texts(texts, self.processor, workers=1 if alone else None)

    def lengths(self, texts: Sequence[Text]) -> np.ndarray:
        """Tokens of each text, int64, shape (texts,)."""
        return np.diff(self.tokenize(texts).offsets)

    def answer(
        self,
        texts: Sequence[Text],
        tokens: dict[str, TokenizedTexts],
        tell: Callable[[float], object] | None = None,
    ) -> tuple[np.ndarray, Known]:
        """As `LoadedModel.answer`."""
        key = self.tokenizer_key
        if key not in tokens:
            tokens[key] = self.tokenize(texts)
        return self.probabilities(tokens[key], tell), known_tokens(tokens[key], self.processor)

    def probabilities(
        self, tokenized: TokenizedTexts, tell: Callable[[float], object] | None = None
    ) -> np.ndarray:
        """float32, shape (texts, classes).

        Raises UserError if the model computes nan or infinity.
        """
        corpus = Corpus(self.processor.ids(tokenized.tokens)[tokenized.ids], tokenized.offsets)
        if self.backwards:
            corpus = corpus.reversed()
        tell = tell or Progress(len(corpus), "classifying", "texts").advance
        found = np.zeros((len(corpus), len(self.labels.classes)), np.float32)
        for rows in batches(corpus.lengths):
            found[rows] = run(self.session, [corpus[row] for row in rows])
            tell(len(rows))
        if not np.isfinite(found).all():
            raise UserError(
                f"{self.artifact.path} computes nan or infinity instead of probabilities; train or "
                "copy the model again"
            )
        return found


def chosen_precision(precision: str, int8: bool) -> str:
    """The number format that a command's ``--precision`` and ``--int8`` name together."""
    if not int8:
        return precision
    if precision not in ("auto", INT8):
        raise UserError(f"found --int8 and --precision {precision}; give one of them")
    check_installed()
    return INT8


def check_installed() -> None:
    """Raise UserError unless the libraries for 8-bit weights are installed."""
    if missing := [name for name in LIBRARIES if find_spec(name) is None]:
        raise UserError(
            f"--int8 needs {', '.join(missing)}, found none; pip install 'ulmfit[export]' installs "
            "what is missing"
        )


def graph_file(artifact: Artifact) -> Path:
    """The file of the model's graph, which is made if it is not there."""
    key = f"{artifact.manifest_sha256}-{_GRAPH}-{version('onnxruntime')}"
    file = cache_folder() / INT8 / f"{key}.onnx"
    if not file.exists():
        logger.info(f"making the 8-bit form of {artifact.path}, once")
        from ulmfit.inference import onnx_graph

        loaded = onnx_graph.loaded_on_cpu(artifact)
        proto = onnx_graph.to_onnx(loaded.model, loaded.temperature, loaded.labels)
        content = onnx_graph.quantized(proto).SerializeToString(deterministic=True)
        atomic_write(file, content)
    return file

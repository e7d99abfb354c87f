"""The command `ulmfit`: one verb for each command of the package.

A verb's module is imported when it is called, and its libraries when it computes: help and errors
come at once.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from ulmfit.base.cli import call, did_you_mean, end_in_one_line
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.base.version import __version__


class Verb(NamedTuple):
    """A command: its module, a line for the help, and the flag that its first argument stands for.

    The module has a function `main`.
    """

    module: str
    about: str
    positional: str = ""


VERBS = {
    "check": Verb("data.__main__", "look at data before training on it", "data"),
    "train": Verb("__main__", "all stages in both directions, then the evaluation", "data"),
    "pretrain": Verb("stage1_pretrain", "stage 1: train a language model on general text"),
    "lm": Verb("stage2_lm", "stage 2: adapt a language model to your texts"),
    "clf": Verb("stage3_clf", "stage 3: train a classifier on the language model"),
    "predict": Verb("predict", "classify a text, or every row of a file"),
    "evaluate": Verb("evaluate", "measure classifiers on labelled texts"),
    "report": Verb("report.__main__", "write an HTML page about classifiers"),
    "explain": Verb("explain", "show which words moved a prediction"),
    "distill": Verb("distill", "teach a small, very fast student what classifiers answer"),
    "calibrate": Verb("calibrate", "fit the temperature of classifiers"),
    "serve": Verb("serve.__main__", "serve classifiers on a web page and as a JSON API"),
    "generate": Verb("generate", "write texts with a language model"),
    "compare": Verb("compare.__main__", "train ULMFiT and other methods on the same labels"),
    "export": Verb("export", "write a classifier as ONNX"),
    "tokens": Verb("text.__main__", "show the tokens of a text"),
    "tokenize": Verb("tokenize", "write a data set as a file of ids"),
    "push": Verb("push", "share a model on the Hugging Face Hub"),
    "pull": Verb("pull", "fetch a model from the Hugging Face Hub"),
    "verify": Verb("verify", "check every file of a model and of its parents"),
    "completion": Verb("completion", "print the completion script for a shell"),
}

START = f"""\
ulmfit {__version__}: text classification on a laptop, from few labels (ULMFiT, built on fastai)
reviews.csv is a table with the columns text and label; --text-col and --label-col name others.

  ulmfit check reviews.csv                       look at the texts and labels first
  ulmfit train reviews.csv --out models/mine     train language models and classifiers, evaluate
  ulmfit predict --clf models/mine/clf --text "I would come again."

ulmfit --help lists all verbs, ulmfit VERB --help the arguments of one.
ulmfit completion bash prints a script for completion in the shell; zsh and fish work, too.
The docs are README.md and docs/tutorial.md of the project.\
"""


def main() -> None:
    """Run the verb that the command line names."""
    end_in_one_line(lambda: _run(sys.argv[1:]))


def _run(given: Sequence[str]) -> None:
    if not given:
        logger.info(START)
    elif given[0] in ("-h", "--help"):
        logger.info(_help())
    elif given[0] == "--version":
        logger.info(f"ulmfit {__version__}")
    elif given[0] in VERBS:
        verb = VERBS[given[0]]
        func = import_module(f"ulmfit.{verb.module}").main
        call(func, given[1:], f"ulmfit {given[0]}", verb.positional)
    else:
        raise UserError(_unknown(given[0]))


def _help() -> str:
    width = max(map(len, VERBS))
    return "\n".join(
        [
            "usage: ulmfit VERB [arguments]",
            "",
            *(f"  {name:{width}}  {verb.about}" for name, verb in VERBS.items()),
            "",
            "ulmfit VERB --help lists the arguments of a verb, ulmfit --version prints the version",
        ]
    )


def _unknown(word: str) -> str:
    modules = {verb.module.removesuffix(".__main__"): name for name, verb in VERBS.items()}
    hint = did_you_mean([modules.get(word, word)], [*VERBS, "--help", "--version"])
    return f"no verb {word!r}; {hint}ulmfit --help lists the verbs"

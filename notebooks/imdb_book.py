# %% [markdown]
# # Film reviews, step by step beside chapter 10 of the fastai book
#
# If you know the chapter "NLP deep dive: RNNs", you find each of its calls here, in its order, with the place where it
# is done in ulmfit. To run in minutes on two cores, everything is small: some hundred reviews of `imdb-sample`, and a
# language model that has read film reviews already. `docs/base.md` and `docs/imdb.md` have the figures of all of IMDb.
#
# | in the book | here |
# |---|---|
# | `untar_data(URLs.IMDB)`, `get_text_files` | `--data imdb`, `--data imdb-sample`, or any table |
# | `WordTokenizer`, `Tokenizer`, `Numericalize` | `TextProcessor` |
# | `SubwordTokenizer` | `TextProcessor("subword")` |
# | `LMDataLoader`, `TextBlock.from_folder(is_lm=True)` | inside of `fine_tune_lm` |
# | `language_model_learner`, `fit_one_cycle`, `unfreeze` | `fine_tune_lm(steps=[...])` |
# | `learn.save_encoder`, `load_encoder` | a model directory; `lm=` names it |
# | `learn.predict(text, n, temperature=0.75)` | `LanguageModel.generate(text, words=n, sampling=Sampling(temperature=0.75))` |
# | `text_classifier_learner`, `freeze_to`, `slice(...)` | `train_classifier(steps=[...])` |
# | the backward model, and the average of both | `backwards=True`, `Classifier.load(fwd, bwd)` |

# %%
import csv

from ulmfit import Classifier, LanguageModel, TextProcessor, fine_tune_lm, train_classifier
from ulmfit.data.load import load_with_test_labels
from ulmfit.inference.sampling import Sampling

# %% [markdown]
# ## The data
#
# In the book: `untar_data`, `get_text_files`, `RandomSplitter`. Here a data set is a name or a table with the columns
# `text`, `label` and `split`. We keep 240 labelled reviews to train, 60 to validate, 200 to test, and 60 without a
# label. The reviews belong to other people, so this page shows counts only.

# %%
frame = load_with_test_labels("imdb-sample")
sizes = {"train": 120, "valid": 30, "test": 100, "unsup": 60}  # of each label
few = frame.groupby(["split", "label"], dropna=False, group_keys=False)[[*frame.columns]].apply(
    lambda part: part.head(sizes[part["split"].iloc[0]])
)
few.to_csv("reviews.csv", index=False, quoting=csv.QUOTE_MINIMAL)
few["split"].value_counts().to_dict()

# %% [markdown]
# ## Tokens
#
# In the book: `WordTokenizer` (spaCy) inside of `Tokenizer`, which adds fastai's rules. `TextProcessor` gives the same
# tokens; tests compare them. `xxbos` begins a text, `xxmaj` says that a capital follows, `xxrep 3 !` is `!!!`.

# %%
mine = "This film is GREAT!!! I have seen it twice.<br />Twice!"
words = TextProcessor("word")
print(words.tokenize([mine])[0])

# %% [markdown]
# In the book: `subword(1000)`. A subword tokenizer learns its pieces from texts; with few of them, rare words are cut
# into many pieces.

# %%
pieces = TextProcessor("subword", max_vocab=400).fit(few["text"].tolist())
print(len(pieces.vocab), "pieces")
print(pieces.tokenize(["The cinematography was uncinematographic."])[0])

# %% [markdown]
# ## Numbers
#
# In the book: `Numericalize`, with `min_freq=3` and `max_vocab=60000`. What is not in the vocabulary becomes `xxunk`.

# %%
words = TextProcessor("word", min_freq=3).fit(few["text"].tolist())
ids = words.encode(["The plot is a qwertzuiop."])[0]
print(len(words.vocab), "words; the first:", words.vocab[:9])
print(list(ids))
print([words.vocab[i] for i in ids])

# %% [markdown]
# ## The language model
#
# In the book: `TextBlock.from_folder(is_lm=True)` and `language_model_learner(dls_lm, AWD_LSTM, drop_mult=0.3)`, then
# `fit_one_cycle(1, 2e-2)`, `unfreeze()` and `fit_one_cycle(10, 2e-3)`.
#
# Here: one call with a list of steps. `groups` is the number of layer groups that learn, counted from the top: with
# `groups=1`, the embedding alone (the book's frozen model). A step without `groups` trains all layers (`unfreeze`).
# The book starts from WikiText-103 (`pretrained="wt103"` downloads the same model); we start from the bundled
# `imdb-lm-small`, which has read 71,569 reviews, these among them: a `share` of a pass is enough, and its perplexity
# hardly moves. In the notebooks `own_csv` and `spanish` you see it fall.

# %%
lm = fine_tune_lm(
    data="reviews.csv",
    pretrained="imdb-lm-small",
    recipe="films",
    batch_size=16,
    steps=[
        {"groups": 1, "epochs": 1, "share": 0.1, "lr": 1e-3},
        {"epochs": 1, "share": 0.2, "lr": [1e-4, 4e-4]},
    ],
    out="models/lm-fwd",
)
for when in ("before", "after"):
    print(when, "perplexity", round(lm.metrics[when]["perplexity"], 1))

# %% [markdown]
# ## A text that the model writes
#
# In the book: `learn.predict("I liked this movie because", 40, temperature=0.75)`.

# %%
writer = LanguageModel.load(lm.path)
for text in writer.generate(
    "I liked this film because", n=2, words=25, sampling=Sampling(temperature=0.75), seed=3
):
    print("-", text)

# %% [markdown]
# ## The encoder
#
# In the book: `learn.save_encoder('finetuned')`, a file that `load_encoder` reads again. Here every stage writes a
# directory that the next one takes by its path; its manifest says what it was made from.

# %%
print(sorted(file.name for file in lm.path.iterdir()))

# %% [markdown]
# ## The classifier
#
# In the book: `text_classifier_learner(dls_clas, AWD_LSTM, drop_mult=0.5)`, `load_encoder`, then the head alone,
# `freeze_to(-2)`, `freeze_to(-3)`, `unfreeze()`, each with `fit_one_cycle` and `slice(lr/(2.6**4), lr)`.
#
# Here: the same as a list of steps. `lr=[low, high]` is the book's `slice`: the lowest layer group learns at `low`.

# %%
steps = [
    {"groups": 1, "epochs": 2, "lr": 2e-2},
    {"groups": 2, "epochs": 1, "lr": [2e-3, 1e-2]},
    {"epochs": 1, "lr": [5e-4, 5e-3]},
]
shared = {
    "data": "reviews.csv",
    "recipe": "films",
    "steps": steps,
    "batch_size": 16,
    "max_len": 200,
}
forward = train_classifier(str(lm.path), **shared, out="models/clf-fwd")
print("accuracy on the validation part:", round(forward.metrics["valid"]["accuracy"], 3))

# %% [markdown]
# ## Backwards, and both together
#
# In the book: the same with `backwards=True`, and the mean of both predictions. To save time, the backward classifier
# starts from the bundled language model as it is.

# %%
backward = train_classifier("imdb-lm-small", **shared, backwards=True, out="models/clf-bwd")
test = few[few["split"] == "test"]
for name, paths in {
    "forward": [forward.path],
    "backward": [backward.path],
    "both": [forward.path, backward.path],
}.items():
    found = Classifier.load(*paths).predict(test["text"].tolist())
    right = (found["label"].to_numpy() == test["label"].to_numpy()).mean()
    print(f"{name:9} {100 * right:.1f} % of {len(test)} test reviews")

# %%
both = Classifier.load(forward.path, backward.path)
both.predict([mine, "Two hours that I will never get back."])

# %% [markdown]
# ## On all of IMDb
#
# `ulmfit train --data imdb --recipe imdb` is the book's chapter in one command: eight passes over all 100,000 reviews
# from WikiText-103, gradual unfreezing, both directions. With the bundled small model and all 22,500 labels the
# ensemble gets 94.15 % on the 25,000 test reviews (`docs/imdb.md`), the book's four times larger models 95.1 %.

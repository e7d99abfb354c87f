"""What a minute of TF-IDF and logistic regression makes of the same labels."""

import numpy as np
import pandas as pd

NAME = "TF-IDF + logistic regression"
_STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)


def tfidf_probabilities(frame: pd.DataFrame, texts: list[str], classes: list[str]) -> np.ndarray:
    """Probabilities of `texts`, shape (texts, classes), from the labels of split train.

    Words and pairs of words; the strength of the regularisation is chosen on split valid,
    or on train where there is none.
    """
    # Takes a second to import, which who only asks for the name does not wait for.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score
    from sklearn.pipeline import make_pipeline

    train, valid = (frame[frame["split"] == split] for split in ("train", "valid"))
    valid = valid if len(valid) else train
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_df=0.9)
    if not len(train) > 20:  # with a handful of texts every word is rare
        features.set_params(min_df=1, max_df=1.0)
    try:
        known = features.fit_transform(train["text"])
    except ValueError:  # no word is neither rare nor in nearly all texts
        known = features.set_params(min_df=1, max_df=1.0).fit_transform(train["text"])
    unseen = features.transform(valid["text"])
    models = [LogisticRegression(C=c, max_iter=1000).fit(known, train["label"]) for c in _STRENGTHS]
    right = [accuracy_score(valid["label"], model.predict(unseen)) for model in models]
    best = models[int(np.argmax(right))]
    columns = [list(best.classes_).index(label) for label in classes]
    return make_pipeline(features, best).predict_proba(texts)[:, columns]

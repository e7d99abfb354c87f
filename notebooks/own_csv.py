# %% [markdown]
# # From a csv to a served model
#
# A café has notes from its guests. Some are marked by hand: would the guest come `again`, or `never`? This page makes
# such a csv, looks at it, trains a classifier, measures and explains it, and serves it. Put your own csv in the place
# of `visits.csv`. It takes minutes on two cores.

# %%
import csv
import json
import random
import subprocess
from urllib.request import Request, urlopen

import pandas as pd

# %% [markdown]
# ## The csv
#
# Three sentences a note; two of three say whether the guest comes again, so single words are not enough. 240 of the
# 500 notes are marked; the others have an empty label and still help the language model.

# %%
PARTS = {
    "coffee": (
        ["strong and hot", "worth the walk", "made with care", "the best in town"],
        ["weak and cold", "burnt", "out of a machine", "not worth the money"],
    ),
    "soup": (
        ["rich and warm", "fresh from the pot", "more than I could eat", "lovely"],
        ["cold in the middle", "from the day before", "thin", "full of salt"],
    ),
    "terrace": (
        ["quiet and sunny", "a joy to sit on", "clean", "full of flowers"],
        ["loud and dark", "full of smoke", "sticky", "next to the street"],
    ),
    "waiter": (
        ["kind to the children", "all smiles", "quick", "never in a hurry"],
        ["rude to the children", "nowhere to be seen", "slow", "in a bad mood"],
    ),
}


def note(rng):
    good = rng.random() < 0.5
    moods = [good, good, rng.random() < 0.5]
    rng.shuffle(moods)
    parts = rng.sample(list(PARTS), 3)
    said = [
        f"The {part} was {rng.choice(PARTS[part][not mood])}."
        for part, mood in zip(parts, moods, strict=True)
    ]
    return " ".join(said), "again" if good else "never"


rng = random.Random(1)
with open("visits.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["note", "verdict"])
    for i in range(500):
        text, label = note(rng)
        writer.writerow([text, label if i < 240 else ""])
pd.read_csv("visits.csv").head(3)

# %% [markdown]
# ## Look first
#
# `ulmfit check` says how the table is split, which labels there are, and what a model will see. The first lines:

# %% bash
# ulmfit check visits.csv --text-col note --label-col verdict | sed -n 1,21p

# %% [markdown]
# ## Train
#
# `ulmfit train` without more arguments chooses everything from the data (the recipe `auto`) and trains four
# classifiers. To be quick, this page trains one network and two linear classifiers with settings of its own.

# %% bash
# ulmfit lm --data visits.csv --text-col note --label-col verdict --recipe demo \
#     --batch-size 8 --lr 5e-3 --out models/lm-fwd 2>&1 | grep -E "perplexity|known|wrote"
# ulmfit clf --data visits.csv --text-col note --label-col verdict --recipe demo \
#     --lm models/lm-fwd --epochs 2 --batch-size 16 --out models/clf-fwd 2>&1 | grep -E "step|accuracy"

# %% [markdown]
# ## Measure
#
# `evaluate` reads the labels of the test part, which nothing has read so far. With so few test notes, one note is
# several points.

# %% bash
# ulmfit evaluate --clf models/clf-fwd

# %% [markdown]
# `report` writes one offline page with figures, errors and likely wrong labels, and compares with two linear methods.
# They are good at notes as short and regular as these.

# %% bash
# ulmfit report --clf models/clf-fwd --out report.html | tail -n 7

# %% [markdown]
# ## Use

# %% bash
# ulmfit predict --clf models/clf-fwd --text "The soup was rich and warm. The waiter was all smiles."

# %% bash
# ulmfit explain --clf models/clf-fwd --text "The coffee was burnt. The waiter was rude to the children."

# %% [markdown]
# In Python, a table of answers:

# %%
from ulmfit import Classifier

Classifier.load("models/clf-fwd").predict(
    ["The terrace was quiet and sunny.", "The soup was cold in the middle."]
)

# %% [markdown]
# ## Serve
#
# `ulmfit serve` puts the model behind a web page and a JSON API on this machine, until Ctrl-C. `--port 0` takes a free
# port and prints it. Here a program asks once and then ends the server.

# %%
server = subprocess.Popen(
    ["ulmfit", "serve", "--clf", "models/clf-fwd", "--port", "0"], stdout=subprocess.PIPE, text=True
)
try:
    address = server.stdout.readline().split()[0]
    body = json.dumps({"text": "The waiter was nowhere to be seen. The coffee was weak and cold."})
    request = Request(f"{address}/predict", body.encode(), {"Content-Type": "application/json"})
    answer = json.load(urlopen(request, timeout=60))
finally:
    server.terminate()
    server.wait()
answer

# %% [markdown]
# A full run, `ulmfit train visits.csv --text-col note --label-col verdict --out models/visits`, trains both directions
# and the linear classifiers, and puts all that help into one ensemble: some ten minutes on two cores.

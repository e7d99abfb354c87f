"""Model directories: manifest, weights, card, lineage, the bundled ones and those of the Hub.
Imports `model`, `data`, `text` and `base`.
"""

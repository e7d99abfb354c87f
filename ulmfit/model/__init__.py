"""The networks: AWD-LSTM, language model, classifier, losses, sizes, and the transfer of weights.
Imports `text` and `base`.
"""

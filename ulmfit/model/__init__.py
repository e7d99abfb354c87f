"""Networks, losses, sizes, and the transfer of weights. Imports `text` and `base`."""

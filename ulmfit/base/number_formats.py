"""The number formats of `--precision`, without an import of torch."""

PRECISIONS = ("auto", "bfloat16", "float32")

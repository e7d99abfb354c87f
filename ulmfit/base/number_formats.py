"""The number formats of `--precision`; `base.precision` chooses one, and imports torch for that."""

PRECISIONS = ("auto", "bfloat16", "float32")

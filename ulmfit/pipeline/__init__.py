"""All stages of `python -m ulmfit`: its checks, its models one by one, self-training, the ensemble.

Imports the stages and the floors below; the commands import it.
"""

"""The parts of `python -m ulmfit.compare`: methods, trials in processes of their own, tables."""

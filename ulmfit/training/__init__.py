"""The training of models: settings, schedules, the run with checkpoints and history, and the common
skeleton of the three stages. Imports `inference` and below.
"""

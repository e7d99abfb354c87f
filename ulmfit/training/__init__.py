"""How models are trained: settings, schedules, the run with its checkpoints and history, and what
the three stages share. Imports `inference` and below.
"""

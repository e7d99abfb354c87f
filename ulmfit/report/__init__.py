"""One HTML page about trained classifiers: `python -m ulmfit.report`, its figures and sections.
Imports `training` and below.
"""

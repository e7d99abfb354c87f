"""A classifier behind a web page and a JSON API: `python -m ulmfit.serve`.
Imports `report` and below.
"""

"""Work for more than one process or machine: prediction in shards, tokenising, engines, Ray.
Imports `inference` and below.
"""

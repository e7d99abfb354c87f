"""Prediction for tables that are larger than one process should read: shards, engines, Ray.
Imports `inference` and below.
"""

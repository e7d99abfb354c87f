"""Use of trained models: probabilities, metrics, explanations, samples, ONNX graphs, baselines.
Imports `artifacts` and below.
"""

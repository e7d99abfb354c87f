"""What trained models are used for: probabilities, figures, explanations, samples, ONNX graphs, and
the baselines beside them. Imports `artifacts` and below.
"""

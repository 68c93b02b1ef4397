"""Trained networks: one ONNX file and one JSON card each."""

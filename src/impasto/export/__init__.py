"""Exports to other engines: ONNX and OpenVINO files, and a page that paints in a browser."""

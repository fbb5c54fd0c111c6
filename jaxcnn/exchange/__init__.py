"""Networks in and out: files of other frameworks.

``onnx_in`` reads ONNX graphs as functions. Imports geometry, shapes and ops.
"""

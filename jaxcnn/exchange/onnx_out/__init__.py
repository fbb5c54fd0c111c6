"""A traced program as an ONNX graph.

``walk.py`` goes through the equations; ``constants.py`` computes those of constants; the others
have a rule each, in a file of its family, which ``rules.py`` lists. ``value.py`` says how a tensor
holds a value, ``graph.py`` collects nodes and arrays, ``fold.py`` folds batch normalisation into
convolutions, and ``file.py`` writes the file and runs it.
"""

"""Kernels: the algorithms that compute a problem themselves, one file each."""

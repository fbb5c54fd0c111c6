"""Rewrites: the algorithms that turn a problem into smaller ones, one file each."""

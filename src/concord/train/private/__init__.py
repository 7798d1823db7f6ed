"""Differentially private training on documents: sampling, clipping, noise and their accounting."""

"""The network: built from a shape or loaded from a folder, read and written as named tensors."""

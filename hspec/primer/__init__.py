"""The primer: products, Lanczos and outliers for readers of PyTorch,
on matrices that need no data.
"""

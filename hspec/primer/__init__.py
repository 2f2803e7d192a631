"""The primer: products, Lanczos, outliers, and why a number varies, for readers of PyTorch; on
matrices that need no data.
"""

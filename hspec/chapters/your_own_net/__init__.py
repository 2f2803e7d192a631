"""Nets that no paper has measured: a small convolutional one, a transformer on text,
a regression.
"""

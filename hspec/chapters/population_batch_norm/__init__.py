"""Batch normalisation with population statistics. (GKX-7)"""

"""Averages in place of an eigensolver: class means against the principal subspace. (P19-1)"""

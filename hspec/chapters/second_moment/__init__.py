"""G is a second moment: what is left of its outliers when means are taken away. (P19-2)"""

"""The means δ_{c,c'} over training: clusters by the logit c', clusters by the class c.
(P19-3)"""

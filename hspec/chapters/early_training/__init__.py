"""The first steps of training. (GKX-2, GKX-3)"""

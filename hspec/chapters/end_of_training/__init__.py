"""The end of training. (GKX-5)"""

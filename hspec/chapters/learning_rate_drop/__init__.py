"""A drop of the learning rate. (GKX-4)"""

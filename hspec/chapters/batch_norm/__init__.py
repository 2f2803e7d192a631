"""With and without batch normalisation. (GKX-6)"""

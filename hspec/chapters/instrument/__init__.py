"""How good is the instrument? (GKX-1)"""

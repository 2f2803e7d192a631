"""How the parts of G move apart. (P18-8)"""

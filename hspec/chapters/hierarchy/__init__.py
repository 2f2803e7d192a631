"""The three-level hierarchy of class means, and two bulks. (P18-6, P18-7)"""

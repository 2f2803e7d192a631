"""The outliers are G's, the bulk is H's. (P18-2)"""

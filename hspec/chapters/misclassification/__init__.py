"""Do outliers predict misclassification? (P20-3)"""

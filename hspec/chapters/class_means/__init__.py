"""G's outliers come from the class means. (P18-5)"""

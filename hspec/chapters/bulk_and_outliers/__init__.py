"""A bulk, and about as many outliers as classes. (P18-1)"""

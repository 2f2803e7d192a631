"""The law of the bulk. (P18-3)"""

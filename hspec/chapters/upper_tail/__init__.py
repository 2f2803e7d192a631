"""Whose the bulk's upper tail is. (P18-4)"""

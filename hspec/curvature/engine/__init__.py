"""How products are fast: graphs kept between them, rewritten layers, precision, memory.
Nobody outside looks in.
"""

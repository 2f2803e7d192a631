"""Where does class structure show, and what does depth do to it? (P20-1, P20-2)"""

"""One file a command: `configure(parser)` gives its options, `run(options)` does it.

A command is loaded when it is called, so that each needs only what it uses.
"""

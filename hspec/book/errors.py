"""The one error that the commands report in a line instead of a traceback."""


class BookError(Exception):
    """Something in the reader's hands went wrong; the message names the fact and the remedy."""

"""What the commands report in a line instead of a traceback."""


class CommandError(Exception):
    """Something in the user's hands went wrong; the message names the fact and the remedy."""

"""The error of the book's commands."""

from hspec.errors import CommandError


class BookError(CommandError):
    """A notebook, a profile or a page is not as it must be;
    the message names the fact and the remedy.
    """

"""What can be wrong with files on disk, told apart so that a caller may offer a download for the first only."""


class MissingData(FileNotFoundError):
    """A data set is not on this machine; the message says where it belongs and how to get it."""


class DamagedData(ValueError):
    """A file of a data set is truncated or altered; the message names the file."""

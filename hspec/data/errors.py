"""What can be wrong with files on disk: absent or damaged,
for only the first is mended by a download.
"""


class MissingData(FileNotFoundError):
    """A data set is not on this machine; the message says where it belongs and how to get it."""


class DamagedData(ValueError):
    """A file of a data set is truncated or altered; the message names the file."""

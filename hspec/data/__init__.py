"""Images with labels: named data sets, balanced samples, the papers' normalisation and padding."""

from hspec.data.errors import DamagedData, MissingData
from hspec.data.imageset import ImageSet
from hspec.data.load import load
from hspec.data.registry import DATASETS, SAMPLE_SIZES, Dataset
from hspec.data.root import data_root

__all__ = [
    "DATASETS",
    "SAMPLE_SIZES",
    "DamagedData",
    "Dataset",
    "ImageSet",
    "MissingData",
    "data_root",
    "load",
]

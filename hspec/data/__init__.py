"""Images with labels: named data sets, balanced samples,
the papers' normalisation and padding."""

from hspec.extras import need

need("hspec.data", "PIL", "sklearn", "torchvision")


from hspec.data.errors import DamagedData, MissingData
from hspec.data.imagenet import spoken_class
from hspec.data.imageset import ImageSet
from hspec.data.load import load
from hspec.data.normalization import NORMALIZATIONS, Normalization
from hspec.data.registry import DATASETS, SAMPLE_SIZES, Dataset
from hspec.data.root import data_root
from hspec.data.sample import SUBSETS

__all__ = [
    "DATASETS",
    "NORMALIZATIONS",
    "SAMPLE_SIZES",
    "SUBSETS",
    "DamagedData",
    "Dataset",
    "ImageSet",
    "MissingData",
    "Normalization",
    "data_root",
    "load",
    "spoken_class",
]

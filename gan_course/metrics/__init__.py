"""How good are the samples? Distances on plain arrays, and the networks that make the arrays."""

from gan_course.metrics.classifier import (
    Classifier,
    ClassifierConfig,
    accuracy_by_class,
    embed,
    joint_probabilities,
    predict,
    tag_numbers,
    train_classifier,
)
from gan_course.metrics.distances import Estimate, frechet_distance, inception_score, kernel_distance
from gan_course.metrics.evaluation import draw_of, draw_real, evaluate
from gan_course.metrics.extractors import Embedded, Features, features
from gan_course.metrics.manifold import density_coverage, nearest, precision_recall
from gan_course.metrics.segmentation import SegmentationScore, segmentation_score
from gan_course.metrics.segmenter import (
    Segmenter,
    SegmenterConfig,
    predict_maps,
    segment,
    segmentation_of,
    train_segmenter,
)

__all__ = [
    "Classifier",
    "ClassifierConfig",
    "Embedded",
    "Estimate",
    "Features",
    "SegmentationScore",
    "Segmenter",
    "SegmenterConfig",
    "accuracy_by_class",
    "density_coverage",
    "draw_of",
    "draw_real",
    "embed",
    "evaluate",
    "features",
    "frechet_distance",
    "inception_score",
    "joint_probabilities",
    "kernel_distance",
    "nearest",
    "precision_recall",
    "predict",
    "predict_maps",
    "segment",
    "segmentation_of",
    "segmentation_score",
    "tag_numbers",
    "train_classifier",
    "train_segmenter",
]

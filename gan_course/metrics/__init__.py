"""How good are the samples? Distances on plain arrays, and the networks that make the arrays."""

from gan_course.metrics.classifier import (
    Classifier,
    ClassifierConfig,
    accuracy_by_class,
    embed,
    predict,
    train_classifier,
)
from gan_course.metrics.manifold import nearest, precision_recall

__all__ = [
    "Classifier",
    "ClassifierConfig",
    "accuracy_by_class",
    "embed",
    "nearest",
    "precision_recall",
    "predict",
    "train_classifier",
]

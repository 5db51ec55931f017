"""The trainer: one loop for every method, and the run that it leaves behind."""

from gan_course.training.interrupts import Interrupted
from gan_course.training.run import Run, open_run
from gan_course.training.settings import TrainingSettings, choose_device
from gan_course.training.trainer import Diverged, train

__all__ = ["Diverged", "Interrupted", "Run", "TrainingSettings", "choose_device", "open_run", "train"]

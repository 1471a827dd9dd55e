"""The benchmark of `--from`: on curves of known optimum, with a source that is the same task."""

import numpy as np

from benchmarks.transfer import Inverted, search, searched
from benchmarks.ways import usual
from pipeline.study.records import StudyRecord
from tests.test_benchmark_search import TASK, Bowl

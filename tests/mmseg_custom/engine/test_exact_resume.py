"""A run that was stopped and resumed equals one that was not, bit for bit."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from seglab.utils.checkpoint_utils import load_checkpoint_file
from seglab.utils.resume_files import resume_files

def state(run: Path) -> dict:
    return load_checkpoint_file(resume_files(run)[0])

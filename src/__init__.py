"""seglab: semantic-segmentation experiments on small, badly labelled data sets.

Importing the package is cheap and only sets the stage for the heavy libraries:
see `seglab.utils.environment`.
"""

from seglab.utils.environment import prepare_environment

__version__ = "0.1.0"

prepare_environment()

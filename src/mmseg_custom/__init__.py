"""What seglab registers with mmseg. Importing this package registers all of it.

Configs name it in `custom_imports`, so that mmseg's own tools find the modules as well.
"""

import contextlib
import io
import warnings

# mmcv warns of operators it was built without and mmseg prints of an extra it lacks; neither
# is used here, and neither message would help a user.
with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
    warnings.filterwarnings("ignore", module="mmcv")
    import mmseg.datasets
    import mmseg.models  # noqa: F401

import seglab.mmseg_custom.datasets
import seglab.mmseg_custom.engine
import seglab.mmseg_custom.evaluation
import seglab.mmseg_custom.losses
import seglab.mmseg_custom.models
import seglab.mmseg_custom.transforms
import seglab.utils.config_utils  # noqa: F401 - teaches mmengine where `mmseg::` bases lie
from seglab.mmseg_custom.safety import make_safe

make_safe()

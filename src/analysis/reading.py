"""How to read a comparison, in words."""

from __future__ import annotations

#: What each notion means; also the tool's help.
READING = {
    "95 % interval": "where the figure may lie over very many images of this kind: of 100 "
    "intervals made this way about 95 hold it. The runs are resampled together, image by image, so "
    "that images which all find hard do not widen the interval of a difference. A difference whose "
    "interval holds 0 leaves open which run is better; it does not say that they are equally good.",
    "p, p (Holm)": "p is how often chance alone gives a difference as large as this one. Who looks "
    "at many figures finds a small p among them by chance; p (Holm) is corrected for the number of "
    "figures in the family. Confirmatory are the figures that the hypotheses named beforehand "
    "(mDice where one names none); exploratory are mDice and the classes' Dice besides: a small p "
    "there is a reason to test again, not a result.",
    "verdict": "supported: these images show every change that the hypothesis expects; not "
    "supported: they show the contrary of one; undecided: they do not suffice to tell. Shown is a "
    "rise or fall whose interval holds no 0 and whose p (Holm) is below 0.05; that a figure stays "
    "is shown where its interval lies within the margin.",
    "smallest detectable": "the true difference that such a test finds in 80 of 100 cases; for a "
    "smaller one, test on more images.",
}

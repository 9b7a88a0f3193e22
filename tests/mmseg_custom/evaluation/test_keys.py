from seglab.mmseg_custom.evaluation import did_you_mean, image_keys, published_keys

CLASSES = ("background", "cat", "dog")


def test_keys_follow_what_is_switched_on():
    every, plain = set(published_keys(CLASSES)), set(published_keys(CLASSES, ()))
    contours = set(published_keys(CLASSES, ("boundary",)))
    calibration = set(published_keys(CLASSES, ("calibration",)))
    assert {"aAcc", "mDice", "Dice/dog", "Recall/cat", "image_mean/mDice", "images/mDice"} <= plain
    assert {"mBoundaryIoU", "HD95/dog", "mNSD", "image_mean/BoundaryIoU/cat"} <= contours - plain
    assert calibration - plain == {"ECE", "ECE/objects"}
    assert every == contours | calibration
    assert "HD95/background" not in every


def test_figures_of_an_image():
    keys = set(image_keys(CLASSES))
    assert {"mDice", "aAcc", "Dice/dog", "HD95/dog", "NSD/cat", "mBoundaryIoU", "ECE"} <= keys
    assert not [key for key in keys if key.startswith(("image_mean/", "images/", "classes/"))]


def test_near_names():
    known = published_keys(CLASSES)
    assert did_you_mean("mdice", known).startswith("; did you mean mDice")
    assert "Dice/dog" in did_you_mean("Dice/Dogs", known)
    assert did_you_mean("qqqqqqqq", known) == ""

"""H2 = H1 + class weights."""

_base_ = ["h1_deeplabv3plus_r50_d8_256x256.py"]

hypothesis = dict(
    id="H2",
    parent="H1",
    question="Nine pixels in ten are background; does weighing it down help the animals?",
    change="cross-entropy weighs the classes [0.0585, 1, 1]; Dice is left as it is",
    expects={"mDice": "+", "Recall/cat": "+", "Recall/dog": "+"},
)

class_weight = [0.0585, 1.0, 1.0]
model = dict(
    decode_head=dict(loss_decode=dict(class_weight=class_weight)),
    auxiliary_head=dict(loss_decode=dict(class_weight=class_weight)),
)

"""Lite-W = Lite + H2's class weights."""

_base_ = ["lite_fpn_effnetlite2_256x256.py"]

hypothesis = dict(
    id="Lite-W",
    parent="Lite",
    question="Does H2's weighing down of the background help the small network's animals?",
    change="cross-entropy weighs the classes [0.0585, 1, 1]; Dice is left as it is",
    expects={"mDice": "+", "Recall/cat": "+", "Recall/dog": "+"},
)
model = dict(decode_head=dict(loss_decode=dict(class_weight=[0.0585, 1.0, 1.0])))

"""Lite-Pet: Lite on Oxford-IIIT Pet's cats and dogs, in folders of masks that can be audited."""

_base_ = ["lite_fpn_effnetlite2_256x256.py"]

hypothesis = dict(
    id="Lite-Pet",
    parent=None,
    question="Does Lite tell cats from dogs on Oxford-IIIT Pet's portraits, border ignored?",
    change="none: Lite on data that `prepare-oxford-pet --mask-folders DIR --mode species` writes",
    expects={},
)
# The photographs are of all sizes.
resize = dict(type="Resize", scale=_base_.image_size, keep_ratio=False)
load_image, load_labels, *_, pack = _base_.test_pipeline
# The label is loaded after the resizing: a prediction is scored on the untouched mask.
evaluation = dict(
    data_root="{{$SEGLAB_OXFORD_FOLDERS:data/oxford_pet_folders}}",
    pipeline=[load_image, resize, load_labels, pack],
)
train_dataloader = dict(
    dataset=dict(
        data_root="{{$SEGLAB_OXFORD_FOLDERS:data/oxford_pet_folders}}",
        pipeline=[load_image, load_labels, resize, dict(type="RandomFlip", prob=0.5), pack],
    )
)
val_dataloader = dict(dataset=evaluation)
test_dataloader = dict(dataset=evaluation)

"""The synthetic cats and dogs that `seglab make-toy` draws, 128x128, in pets_coco's layout.

The data root is, in this order: `--data-root`, the environment variable SEGLAB_TOY, `data/toy`.
"""

_base_ = ["pets_coco.py"]

data_root = "{{$SEGLAB_TOY:data/toy}}"
image_size = (128, 128)
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

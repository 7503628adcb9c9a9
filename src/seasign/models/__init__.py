"""Networks, and what they do to poses first. A model satisfies a stage's protocol; no stage imports one.

`features` is numpy alone; the other modules import torch: `pip install "seasign[neural]"`.
"""

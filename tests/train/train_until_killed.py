"""Train and save after every step until someone kills this process.

usage: train_until_killed.py FOLDER
"""

import sys
from itertools import count
from pathlib import Path

import torch
from trainlab import batches, trainer

from concord.train.checkpoint import save_checkpoint

torch.set_num_threads(1)
member = trainer()
for step in count():
    member.run(batches, first_step=step, count=1)
    save_checkpoint(Path(sys.argv[1]), member, step=step + 1)
    sys.stdout.write(f"{step}\n")
    sys.stdout.flush()

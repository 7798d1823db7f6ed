"""Torch uses one thread here: the tests share few cores, and one thread repeats itself exactly."""

import torch

torch.set_num_threads(1)

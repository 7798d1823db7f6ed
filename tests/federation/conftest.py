"""What several tests of a whole federation need."""

import pytest
import torch


@pytest.fixture
def one_thread():
    """As members are run: sums come out the same however many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

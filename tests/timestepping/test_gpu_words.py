"""What is written otherwise for a GPU, as far as a CPU can run it."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.support.gpu_words import results
from tests.support.places import ROOT

pytestmark = pytest.mark.long


def test_runs_are_the_same_in_the_words_for_a_gpu(tmp_path):
    file = tmp_path / "found.npz"
    command = [sys.executable, "-m", "tests.support.gpu_words", str(file)]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    want, found = results(), np.load(file)
    assert want.keys() == set(found)
    for name, x in want.items():
        np.testing.assert_allclose(found[name], x, rtol=1e-9, atol=1e-12, err_msg=name)

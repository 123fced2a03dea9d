"""The two ways in which the functions of a test file run: as decompositions and as kernels."""
import pytest

from oracles.reference import WAYS


@pytest.fixture(scope="module", params=sorted(WAYS))
def run(request):
    """run(function's name, arrays...) -> results; the test file has its functions in `MODULE`."""
    return WAYS[request.param](request.module.MODULE)

"""Both arithmetics, so that each test of an effect runs on numpy and on torch."""

import pytest
from powder_samples import BACKENDS, make_backend


@pytest.fixture(params=BACKENDS)
def backend(request):
    return make_backend(request.param)

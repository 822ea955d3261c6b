"""What every physics must do, as waves: reciprocity, decay, order of convergence, and clock."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from random_surveys import DT, RECIPES, RandomSurvey, uniform
from torch import Tensor
from waves import quiet, relative

from wavepipe.propagators import Boundary, propagate
from wavepipe.propagators.physics.catalogue import PHYSICS
from wavepipe.propagators.physics.names import PARAMETERS, receiver_names, source_names
from wavepipe.propagators.wavelets import ricker

PEAK = 25.0
"""Hz."""

FREQUENCY = {2: 8.0, 4: 14.0, 6: 18.0, 8: 22.0}
"""Hz; at which the error of an order on grids of 12 and 4 m is neither large nor rounding."""

# Of the slopes between the two grids; at order 8 the coarse one is not yet in the asymptotic range.
SLOPE_TOLERANCE = {2: 0.3, 4: 0.3, 6: 0.4, 8: 0.7}

ONE_SIDED_ORDER = {2: 2.0, 4: 4.0, 6: 3.6, 8: 3.0}
"""Least order of convergence measured at an elastic free surface, where differences are exact for
polynomials of degree 1, 2, 3 and 3."""


class Waves:
    """In every physics."""

    physics: ClassVar[str]
    ndim: ClassVar[int]

    @property
    def solid(self) -> bool:
        return PHYSICS[self.physics].solid

    @pytest.mark.parametrize("faces", ["z0", pytest.param("z1+x0", marks=pytest.mark.slow)])
    @pytest.mark.parametrize("order", [4, pytest.param(8, marks=pytest.mark.slow)])
    def test_source_and_receiver_change_places(self, faces, order):
        """v_i at B of a force f_j at A is v_j at A of f_i at B, near faces and off the grid.

        Exactly, through absorbing layers too: each is a stretching of its axis alone.
        """
        survey = RandomSurvey(self.physics, self.ndim, faces, order)
        last = np.array(survey.shape) - 1.0
        a, b = np.full(self.ndim, 5.4), last - 6.7
        a[0], b[0] = (last[0] - 2.3, last[0] - 5.6) if "z1" in faces else (2.3, 5.6)
        if self.solid:
            components = [name[1] for name in receiver_names(self.physics, self.ndim)[1:]]
            pairs = [(f"v{i}", f"f{j}", f"v{j}", f"f{i}") for i in components for j in components]
        else:
            components = [name[1] for name in receiver_names(self.physics, self.ndim)[1:]]
            pairs = [(f"v{i}", f"f{j}", f"v{j}", f"f{i}") for i in components for j in components]
            if self.physics in ("scalar", "acoustic"):
                pairs.append(("pressure", "pressure") * 2)
        found = both_ways(survey, a, b)
        for there, by, back, of in pairs:
            one, other = found[there, by][0], found[back, of][1]
            assert one.norm() > 0
            assert relative(one, other) < 1e-11, (there, by)

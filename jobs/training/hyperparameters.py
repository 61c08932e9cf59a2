"""What can be chosen in a training, apart from the libraries that take seconds to import."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of a training; the defaults suit a month of green taxis.

    MLflow logs them under these names.
    """

    trees: int = 200
    learning_rate: float = 0.12
    leaves: int = 63
    """Maximum per tree."""
    smallest_leaf: int = 120
    """Minimum number of rides per leaf."""
    l2: float = 10.0
    features_a_split: float = 0.5
    """Share of the columns considered at each split."""
    smoothing: float = 20.0
    """Weight of the overall mean in a pair's encoding, as a number of rides."""
    half_life: float = 14.0
    """Days after which a ride has half the weight, because traffic changes."""

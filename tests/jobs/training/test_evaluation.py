import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from functions.features import RideColumns
from jobs.training.evaluation import Evaluation, permutation_importances
from jobs.training.pipeline import COLUMNS, feature_frame
from jobs.trips.records import to_ride_columns


def test_errors_by_borough_and_hour_of_the_pickup() -> None:
    trips = pd.DataFrame(
        {
            "PULocationID": [74, 74, 7],  # Manhattan twice, Queens
            "DOLocationID": [75, 75, 75],
            "trip_distance": [1.0, 1.0, 2.0],
            "pickup_datetime": pd.to_datetime(["2021-01-04 08:00", "2021-01-04 23:59", "2021-01-05 08:59"]),
            "duration": [10.0, 10.0, 30.0],
        },
        index=[5, 9, 2],
    )

    def predict(rides: RideColumns) -> np.ndarray:
        return np.where(np.isnan(rides.pickup_minute), 20.0, 12.0)

    evaluation = Evaluation.compute(predict, trips)
    boroughs, hours = evaluation.by_borough(), evaluation.by_hour()
    assert boroughs.rides.to_dict() == {"Manhattan": 2, "Queens": 1}
    assert boroughs.rmse.to_dict() == {"Manhattan": 2.0, "Queens": 18.0}
    assert boroughs.bias.to_dict() == {"Manhattan": 2.0, "Queens": -18.0}
    assert boroughs.rmse_without_pickup_time.to_dict() == {"Manhattan": 10.0, "Queens": 10.0}
    assert hours.rides.to_dict() == {8: 2, 23: 1}
    metrics = evaluation.metrics()
    assert metrics["rmse_by_borough/Queens"] == 18.0
    assert metrics["rmse_by_hour/23"] == 2.0
    assert metrics["rmse_without_pickup_time"] == 10.0


def test_importance_is_the_rmse_increase_of_a_shuffled_column() -> None:
    rng = np.random.default_rng(1)
    trips = pd.DataFrame(
        {
            "PULocationID": rng.integers(1, 264, 400),
            "DOLocationID": 75,
            "trip_distance": rng.uniform(1, 20, 400),
            "pickup_datetime": pd.Timestamp("2021-01-04 08:00"),
        }
    ).assign(duration=lambda trips: 3 * trips.trip_distance)
    pipeline = make_pipeline(
        make_column_transformer(("passthrough", ["known_distance"])), LinearRegression()
    ).fit(feature_frame(to_ride_columns(trips)), trips.duration)
    importances = permutation_importances(pipeline, trips)
    assert set(importances.index) == set(COLUMNS)
    assert importances.index[0] == "known_distance"
    assert importances["known_distance"] > 10
    assert importances.drop("known_distance").abs().max() < 1e-6

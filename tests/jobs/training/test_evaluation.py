import numpy as np
import pandas as pd

from functions.features import RideColumns
from jobs.training.evaluation import Evaluation


def test_errors_stand_under_the_rides_borough_and_hour() -> None:
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

    evaluation = Evaluation.of(predict, trips)
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

from jobs.ui.text import count


def test_a_number_agrees_with_its_noun() -> None:
    assert [count(number, "ride") for number in (0, 1, 2, 2000)] == [
        "0 rides",
        "1 ride",
        "2 rides",
        "2,000 rides",
    ]
    assert count(1, "taxi day") == "1 taxi day"
    assert count(3, "query", "queries") == "3 queries"

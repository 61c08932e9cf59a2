"""Numbers in sentences."""


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 ride`, `2,000 rides`.

    Args:
        plural: if it is not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"

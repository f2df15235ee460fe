"""The numbers in docs/dialogues.md are those on the wire."""

import dialogues
from drive import REPO


def test_documented_counts_are_the_measured_ones():
    documented = (REPO / "docs" / "dialogues.md").read_text()
    assert documented == dialogues.markdown(dialogues.table())


def test_round_trips_do_not_grow_with_the_number_of_files():
    for _, with_mlsd, without in dialogues.table():
        assert with_mlsd[1] <= 8 and without[1] <= 8

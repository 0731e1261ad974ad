from recipes.verbs.pareto import frontier


def test_those_that_no_other_beats_in_size_and_value_are_the_frontier():
    points = {"small": (1.0, 0.5), "good": (10.0, 0.9), "beaten": (20.0, 0.8), "undefined": (0.5, float("nan"))}
    assert frontier(points) == ["small", "good"]
    assert frontier({"a": (1.0, 0.5), "b": (1.0, 0.5)}) == ["a", "b"]
    assert frontier({"a": (1.0, 0.5), "b": (1.0, 0.6)}) == ["b"]

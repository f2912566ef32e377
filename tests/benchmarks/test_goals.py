"""What is to be reached, what a full run is, and what got worse: rules over made-up results."""

import pytest

from benchmarks import goals, plan
from benchmarks.goals import GOALS, HD, TWELVE, below, measured
from benchmarks.plan import Plan, Race, left_out, only
from benchmarks.regressions import regressions, uncompared
from benchmarks.subjects import PUBLISHED, published_card
from benchmarks.table import speed_table
from benchmarks.trials import TRIALS
from restoration.errors import OptionError
from restoration.registry import MODELS
from tests.benchmarks.results import result, row

EDSR = MODELS["edsr-baseline-x2"]
CARDS = [published_card(), EDSR]
NAMED = {goal.name: goal for goal in GOALS}


def test_every_goal_is_measured_by_a_race_or_a_trial():
    assert len(NAMED) == len(GOALS)
    planned = plan.full(CARDS)
    races = {race.place: race for race in planned.races}
    for goal in GOALS:
        if goal.trial:
            assert goal.trial in TRIALS
            assert goal.trial in planned.trials
        else:
            assert goal.peer is None or goal.peer in races[goal.model, goal.size].peers, goal.name


def test_what_is_too_dear_is_not_planned():
    places = {(race.card.name, race.size): race.peers for race in plan.full(CARDS).races}
    assert (EDSR.name, TWELVE) not in places
    assert places[EDSR.name, HD] == ("eager",), "a goal names it; the others are too dear"
    assert places[PUBLISHED, TWELVE] == ("predict.py",)
    assert places[PUBLISHED, HD] == ("eager", "predict.py")


def test_a_goal_can_be_measured_alone():
    alone = only(["deblurgan-12mp-memory"], CARDS)
    assert [(race.card.name, race.size) for race in alone.races] == [(PUBLISHED, TWELVE)]
    assert alone.trials == ()
    assert only(["page-720p"], CARDS) == Plan(races=(), trials=("page",))
    with pytest.raises(OptionError, match="'speed' is not measured; what is: deblurgan-720p, "):
        only(["speed"], CARDS)


def test_a_check_measures_the_smaller_sizes_and_whatever_a_goal_needs():
    checked = plan.check(CARDS)
    assert {race.place for race in checked.races} == {(EDSR.name, size) for size in plan.CHECK_SIZES} | {
        (PUBLISHED, size) for size in plan.SIZES
    }
    assert checked.trials == plan.full(CARDS).trials


def everything(planned: Plan) -> dict:
    rows = [
        row(race.card.name, width=race.size[1], height=race.size[0], ratio=0)
        | {"peers": {peer: {} for peer in race.peers}}
        for race in planned.races
    ]
    return result(*rows) | {"trials": {name: {"ratio": 1.0} for name in planned.trials}}


def test_only_a_result_with_everything_in_it_lacks_nothing():
    planned = plan.full(CARDS)
    assert list(left_out(everything(planned), planned)) == []
    for index, race in enumerate(planned.races):
        name = f"{race.card.name} at {race.size[1]} x {race.size[0]}"
        found = everything(planned)
        found["rows"][index]["peak_megabytes"] = None
        assert list(left_out(found, planned)) == [f"{name}: memory"]
        for peer in race.peers:
            found = everything(planned)
            del found["rows"][index]["peers"][peer]
            assert list(left_out(found, planned)) == [f"{name} against {peer}"]
        found = everything(planned)
        del found["rows"][index]
        assert list(left_out(found, planned)) == [name]
    for name in planned.trials:
        found = everything(planned)
        found["trials"][name] = {"failed": "it went wrong"}
        assert list(left_out(found, planned)) == [name]
        del found["trials"][name]
        assert list(left_out(found, planned)) == [name]


def test_a_goal_finds_its_value():
    found = result(
        row(PUBLISHED, width=1280, height=720, peer="predict.py", ratio=5.5),
        row(PUBLISHED, width=4000, height=3000, peer="predict.py", ratio=6.5, memory=300.0),
        row(EDSR.name, height=256, peer="super-image", ratio=3.0, share=0.9),
        torch_path={"ratio": 4.2, "seconds": 1.0},
        page={"overhead_seconds": 0.25, "ratio": 3.0},
    )
    values = {name: measured(goal, found) for name, goal in NAMED.items()}
    assert {name: value for name, value in values.items() if value is not None} == {
        "deblurgan-720p": 5.5, "deblurgan-720p-torch": 4.2, "deblurgan-12mp": 6.5, "deblurgan-12mp-memory": 300.0,
        "edsr-256": 3.0, "edsr-256-roofline": 0.9, "page-720p": 0.25,
    }  # fmt: skip
    assert list(below(found)) == []
    table = speed_table(found)
    assert "| DeblurGAN-v2 MobileNet 1280 x 720, against predict.py's way | at least 5.00x | 5.50x |" in table
    assert "| DeblurGAN-v2 MobileNet 4000 x 3000: memory added, MB | at most 477 MB | 300 MB |" in table
    assert "| at least 8.00x | not measured |" in table


def test_what_is_missed_is_said_but_for_seconds_which_another_machine_has_other_ones_of():
    found = result(
        row(PUBLISHED, width=1280, height=720, peer="predict.py", ratio=4.9),
        row(PUBLISHED, width=4000, height=3000, peer="predict.py", ratio=6.5, memory=480.0),
        page={"overhead_seconds": 2.0, "ratio": 3.0},
    )
    assert list(below(found)) == [
        "deblurgan-720p is 4.9 and should be at least 5.",
        "deblurgan-12mp-memory is 480 and should be at most 477.",
    ]
    assert "2.00 s (missed)" in speed_table(found)


def test_what_got_worse_is_said_and_noise_is_not():
    before = result(row("a"), row("b", memory=100), row("gone"))
    assert list(regressions(result(row("a", ratio=3.5), row("b", memory=150)), before)) == []
    assert list(regressions(result(row("new", ratio=0.1)), before)) == []
    assert list(regressions(result(row("a", ratio=3.0), row("b", memory=200)), before)) == [
        "a at 256x128 was 4.00 times as fast as eager and is now 3.00.",
        "b at 256x128 took 100 MB and now takes 200.",
    ]


def test_a_trials_ratio_gets_worse_in_its_own_direction():
    before = result(torch_path={"ratio": 4.0}, page={"ratio": 4.0})
    assert list(regressions(result(torch_path={"ratio": 6.0}, page={"ratio": 3.0}), before)) == []
    assert list(regressions(result(torch_path={"ratio": 3.0}, page={"ratio": 6.0}), before)) == [
        "The ratio of torch-path was 4.00 and is now 3.00.",
        "The ratio of page was 4.00 and is now 6.00.",
    ]


def test_what_cannot_be_compared_is_said():
    before = result(row("a"), row("b"), row("large", width=4000))
    assert list(uncompared(result(row("a"), row("b"), row("new")), before)) == []
    lost = ["b at 256x128 was raced against eager, and is not now."]
    assert list(uncompared(result(row("a"), row("b", ratio=0)), before)) == lost
    assert list(uncompared(result(row("a")), before)) == lost
    assert list(uncompared(result(row("a")), before, ["a"])) == []
    assert list(uncompared(result(row("a", width=64)), before)) == [
        "Nothing was compared: the result of 2026-01-02 has none of these models at these sizes."
    ]
    assert list(uncompared(result(row("a"), row("b")), result(row("a", ratio=0), row("b", ratio=0)))) == [
        "No ratio was compared: the result of 2026-01-02 was measured without peers."
    ]
    assert list(uncompared(result(row("a", ratio=0)), result(row("a", ratio=0)))) == [], "memory is compared"


def test_a_trial_that_failed_is_not_compared_and_that_is_said():
    before = result(row("a"), page={"ratio": 3.0}, tiled={"failed": "then too"})
    assert list(uncompared(result(row("a"), page={"failed": "no server"}), before)) == [
        "page was measured, and is not now: no server."
    ]
    assert list(uncompared(result(row("a")), before, trials=False)) == []


def test_every_bound_in_megabytes_is_in_the_units_of_the_measurement():
    assert pytest.approx(476.8, abs=0.1) == goals.HALF_GIGABYTE
    assert pytest.approx(1907.3, abs=0.1) == goals.TWO_GIGABYTES
    assert Race(card=EDSR, size=HD).place == (EDSR.name, HD)

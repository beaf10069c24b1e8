"""Tensors of every kind in every place. Each is measured as its plain copy is, or refused in one line."""

from pathlib import Path

#: Characters of a line that somebody still reads.
LONGEST = 400


def test_wrong_tensors(storm, worker, narrow):
    give = worker(Path(__file__).with_name("measuring.py"))
    for _, case, random in storm.cases(["tensors"], small=140, full=6000):
        answer = give.ask([narrow, random.randrange(2**31)])
        outcome, said, given = answer or ("broke", f"the process ended: {give.last_end}", "")
        if outcome == "broke":
            storm.lose(case, f"{given}: {said}")
        elif "\n" in said or len(said) > LONGEST:
            storm.lose(case, f"{given}: no line: {said!r}")
        else:
            storm.note("refused in one line" if outcome == "refused" else "measured as their plain copies")
    storm.end()
    if storm.tried > 100:  # neither everything is refused nor everything taken
        assert min(storm.outcomes.values()) > storm.tried / 20
        assert len(storm.outcomes) == 2

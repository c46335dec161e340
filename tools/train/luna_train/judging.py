"""What the judge's answers say about pictures that were made for known scenes."""

from .classifier import answers

ASKED = ("object", "colour", "background", "position")


def rights(named, scenes, asked=ASKED):
    """Question → share of pictures that show what their scene says; "all": every one of them at once."""
    rows = [{question: name.get(question) == answers(scene).get(question) for question in asked}
            for name, scene in zip(named, scenes, strict=True)]
    shares = {question: sum(row[question] for row in rows) / len(rows) for question in asked}
    return shares | {"all": sum(all(row.values()) for row in rows) / len(rows)}


def against_shuffled(named, scenes, asked=ASKED):
    """The same of the scenes themselves, and of each picture beside its neighbour's scene: what chance gives."""
    return rights(named, scenes, asked), rights(named, [*scenes[1:], scenes[0]], asked)

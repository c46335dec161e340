"""docs/python.md is one program: its blocks run in their order."""

import os
import re

from daemon import ROOT


def test_every_example_of_the_page_runs(daemon, tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs/python.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    assert len(blocks) >= 12
    monkeypatch.setenv("LUNA_ADDRESS", daemon.address)
    os.symlink(ROOT / "models", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "docs"}
    for block in blocks:
        line = page[: page.index(block)].count("\n") + 1
        exec(compile("\n" * (line - 1) + block, "docs/python.md", "exec"), names)
    told = capsys.readouterr().out
    assert "4/4, " in told and "did you mean" in told and "was cancelled" in told

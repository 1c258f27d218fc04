"""Schema files: what the JSON Schema and the agent think of them, and a vendor's own tables without any C."""

import json
import pathlib
import re

import jsonschema
import pytest

import expect
from harness import FGFMCTL
from netns import poll, run

TOP = pathlib.Path(__file__).resolve().parents[2]
FORM = json.loads((TOP / "etc/schema.schema.json").read_text())
MANUAL = (TOP / "etc/man/fgfmd-schema.5").read_text()


def validator():
    kind = jsonschema.validators.validator_for(FORM)
    kind.check_schema(FORM)
    return kind(FORM)


def cases():
    """WHAT, VERDICT and the file's text; test_config_schema_json.c puts the same before the agent."""
    lines = [line for line in (TOP / "test/golden/schema/cases").read_text().splitlines()
             if line and not line.startswith("#")]
    heads = [[part.strip() for part in line.split("|")] for line in lines[::2]]
    return [(head[0], head[1], text) for head, text in zip(heads, lines[1::2])]


def manual_example(number):
    """The number-th example of the manual page, as somebody would copy it."""
    return re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", MANUAL.partition(".Sh EXAMPLES")[2], re.S | re.M)[number]


@pytest.mark.parametrize("path", sorted((TOP / "etc/schema.d").glob("*.json")), ids=lambda p: p.name)
def test_built_in_files_are_of_the_form(path):
    """Each file that is compiled in."""
    assert [e.message for e in validator().iter_errors(json.loads(path.read_text()))] == []


def test_the_form_refuses_what_it_can_tell():
    """And nothing of what the agent takes."""
    judge, verdicts = validator(), []
    for what, verdict, text in cases():
        try:
            good = judge.is_valid(json.loads(text))
        except json.JSONDecodeError:
            good = False
        assert good == (verdict != "form"), what
        verdicts.append(verdict)
    assert verdicts.count("form") > 50 and verdicts.count("sense") > 15 and verdicts.count("good") >= 2


def test_the_manual_explains_every_key():
    """Keys, types and formats of the JSON Schema stand in fgfmd-schema(5)."""
    known, attribute = FORM["$defs"], FORM["$defs"]["attribute"]["properties"]
    keys = {*known["table"]["properties"], *known["key"]["properties"], *attribute}
    for key in keys:
        assert re.search(rf"^\.(It )?Cm (.* )?{re.escape(key)}( |$)", MANUAL, re.M), key
    for value in [*attribute["type"]["enum"], *attribute["format"]["enum"]]:
        assert f".It Ql {value}\n" in MANUAL, value


@pytest.fixture(name="folder")
def schema_folder(lab):
    """The agent's schema directory, empty."""
    folder = lab.agent.folder / "schema.d"
    folder.mkdir()
    lab.agent.set(schema_directory=f'"{folder}"')
    return folder


def test_a_vendor_adds_tables(lab, folder):
    """The manual's example: checked, installed by the manager, shown, completed, saved, read again."""
    text = manual_example(0)
    assert validator().is_valid(json.loads(text))
    (folder / "shop.json").write_text(text)
    manager, agent = lab.connected()
    script = manual_example(1)
    refused = ('config shop till\nedit 3\nset printer "back"\nnext\nedit 4\nnext\nedit 1\nset hours 8:60\nabort\n'
               'config shop printer\nedit "far"\nset kind remote\nnext\ndelete "front"\ndelete "none"\nend\n')
    undo = "config shop till\npurge\nend\nconfig shop printer\npurge\nend\n"
    assert manager.install_and_wait("v1", script + refused, undo)[0] == "committed"
    lines = manager.result_lines("v1")
    assert [code for code, _ in lines[:len(script.splitlines())]] == [0] * len(script.splitlines())
    assert [line for line in lines if line[0]] == [
        (-3, "next"), (-56, "next"), (-651, "set hours 8:60"), (-56, "next"), (-23, 'delete "front"'),
        (-3, 'delete "none"')]
    shown = agent.ask("show", "shop", "till", "1")
    assert "set hours 08:00 18:30" in shown and "set pin ENC ***" in shown and "1234" not in shown
    assert 'set pin "1234"' in agent.saved.read_text()
    assert 'edit "front"' in manager.get_config()
    before = agent.ask("show")
    agent.restart().wait_ready()
    assert agent.ask("show") == before
    assert run(FGFMCTL, "--socket", agent.socket, "show", "full-configuration", "shop", "printer").stdout.count(
        "set copies 1") == 1


def test_a_wrong_file_is_named(lab, folder):
    """By `fgfmd -t`, with the table and the key; the others are read all the same."""
    (folder / "10-good.json").write_text('{"tables": [{"path": "good one"}]}')
    (folder / "20-bad.json").write_text('{"tables": [{"path": "bad one", "colour": 1}]}')
    lab.agent.saved.write_text("config good one\nend\nconfig bad one\nend\n")
    done = lab.agent.check_files()
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert '20-bad.json: table "bad one": unknown key "colour"' in said
    assert "10-good.json" not in said
    assert [line for name, line, *_ in expect.error_lines(said) if name == str(lab.agent.saved)][:1] == ["3"]


def test_firewall_objects_of_a_manager(lab):
    """What managers send most: objects of tables that are built in and that the agent does not apply."""
    manager, agent = lab.connected()
    golden = TOP / "test/golden/config"
    base = (golden / "firewall-install.base").read_text().partition('edit "lan1"')[2]
    assert agent.script('config system interface\nedit "lan1"' + base).returncode == 0
    script = (golden / "firewall-install.script").read_text()
    codes = [line.split(": ", 1) for line in (golden / "firewall-install.codes").read_text().splitlines()]
    assert manager.install_and_wait("f1", script, "")[0] == "committed"
    masked = [(int(code), re.sub("password .*", "password ***", command)) for code, command in codes]
    assert manager.result_lines("f1") == masked
    result = (golden / "firewall-install.result").read_text()
    assert result.partition("config firewall address")[2] in agent.saved.read_text()
    poll(lambda: "config firewall policy" in manager.get_config(), 5, "the policies at the manager")

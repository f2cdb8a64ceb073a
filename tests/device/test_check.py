"""parlay check and parlay devices on the command line."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from parlay.cli.main import run
from parlay.device.catalogue import OWN, device_named, devices
from parlay.device.check import check_file
from parlay.errors import InputError
from tiny_tflite import Fields, chain, packed, read, written

ZIGZAG = (24, 4, 32, 8, 24, 24)
"""Widths of a chain that TFLM's planner wastes on."""


def test_what_is_needed_is_told(tmp_path, capsys):
    """Flash, arena, the highest point with what lives there, and the verdict; exit code 0 where it fits, else 1."""
    path = str(written(tmp_path, chain((4, 8, 2))))
    assert run(["check", path, "--ram", "16KiB", "--flash", "16KiB"]) == 0
    text = capsys.readouterr().out
    assert "highest at CONV_2D (operator 1 of 2): 768 B live" in text and "verdict: fits" in text
    assert run(["check", path, "--ram", "1KiB"]) == 1
    assert "verdict: does not fit: RAM: " in capsys.readouterr().out
    assert run(["check", path, "--flash", "2KiB", "--runtime-flash", "2KiB"]) == 1
    assert "does not fit: flash: " in capsys.readouterr().out


def test_a_better_plan_is_found_told_and_written(tmp_path, capsys):
    """Where another plan makes a file fit, the verdict says so, and --replan writes it; it fits then."""
    path, out = written(tmp_path, chain(ZIGZAG)), tmp_path / "out.tflite"
    need = check_file(path)
    assert need.best_ram is not None and need.ram is not None and need.best_ram < need.ram
    limit = str(need.best_ram)
    assert run(["check", str(path), "--ram", limit, "--replan", str(out)]) == 1
    assert "it fits with the better plan" in capsys.readouterr().out
    assert run(["check", str(out), "--ram", limit, "--replan", str(tmp_path / "none.tflite")]) == 0
    assert "nothing written" in capsys.readouterr().out
    assert read(out).plan and not (tmp_path / "none.tflite").exists()


def test_the_document_has_everything(tmp_path, capsys):
    """--json prints one document: needs, the peak, what lives when, limits, verdict."""
    path = written(tmp_path, chain((4, 8, 2)))
    assert run(["check", str(path), "--device", "rp2040", "--reserve-ram", "100KiB", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["limits"] == {"ram": 164 * 1024, "flash": 2 * 1024 * 1024, "runtime_flash": 0}
    assert found["peak"]["bytes"] == found["over_time"][1] == 768
    assert [one["offset"] for one in found["placed"]] == [512, 0, 512]
    assert (found["fits"], found["written"], found["schema_version"]) == (True, None, 1)


def test_the_arena_is_drawn(tmp_path):
    """--png writes a picture."""
    pytest.importorskip("matplotlib")
    path, png = written(tmp_path, chain(ZIGZAG)), tmp_path / "arena.png"
    assert run(["check", str(path), "--ram", "16KiB", "--png", str(png)]) == 0
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.tflite"], "No such file"),
        (["net.onnx"], "allowed: .tflite, .pte"),
        (["net.pte"], "allowed: a whole .pte file"),
        (["net.tflite", "--device", "nrf5284"], "did you mean nrf52840?"),
        (["net.tflite", "--reserve-ram", "1KiB"], "--reserve-ram; allowed: with --board"),
        (["net.tflite", "--device", "rp2040", "--reserve-ram", "1MiB"], "reserve-ram: got 1048576; allowed: less than"),
        (["net.tflite", "--ram", "64K"], "ram: got '64K'"),
        (["net.tflite", "--png", "arena.jpg"], "allowed: a file that ends in .png"),
        (["tile.tflite"], "operator: got 'TILE'"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, arguments, words):
    """A missing or foreign file, an unknown device, a reserve without one: one line each and exit code 2."""
    monkeypatch.chdir(tmp_path)
    for name in ("net.tflite", "net.onnx", "net.pte"):
        written(tmp_path, chain(), name)
    written(tmp_path, chain(kind="TILE"), "tile.tflite")
    assert run(["check", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words in line


def test_every_device_has_its_numbers_and_their_source():
    """At least forty devices; each has flash, RAM and a source, and what is taken is less than there is."""
    found = devices()
    assert len(found) >= 40
    for one in found.values():
        assert one.flash >= 2**14 and one.ram >= 2**11 and len(one.source) > 10 and one.core
        if one.taken is not None:
            assert one.taken.flash < one.flash and one.taken.ram < one.ram and one.taken.source


def test_names_of_devices_are_written_as_people_write_them():
    """Case, spaces and underscores do not matter."""
    assert device_named("Nano 33_BLE").name == "nano-33-ble"


def test_own_devices_add_to_the_list(tmp_path, capsys):
    """--devices FILE adds devices and replaces those of the same name; what lacks a source is refused."""
    own = tmp_path / "own.toml"
    own.write_text(
        '[mine]\nflash = "1MiB"\nram = "64KiB"\nsource = "its sheet"\n'
        '[rp2040]\nflash = "4MiB"\nram = "8KiB"\nsource = "x"'
    )
    assert device_named("mine", own).ram == 65_536 and device_named("rp2040", own).ram == 8192
    assert run(["devices", "mine", "--devices", str(own), "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["devices"]] == ["mine"]
    own.write_text('[mine]\nflash = "1MiB"\nram = "64KiB"')
    with pytest.raises(InputError, match="allowed: flash, ram, source"):
        devices(own)
    own.write_text("no list")
    with pytest.raises(InputError, match="a list of devices in TOML"):
        devices(own)


def test_devices_are_listed_by_a_word_and_told_in_full(capsys):
    """A pattern lists what has it in its name, title or core; one device alone is told with its source; none is 1."""
    assert run(["devices", "nrf52840"]) == 0
    text = capsys.readouterr().out
    assert "nano-33-ble" in text and "nrf52840: nRF52840 Product Specification" in text
    assert run(["devices", "no such board"]) == 1
    assert run(["devices", "--csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-len(tomllib.loads(OWN.read_text("utf-8"))) - 1].startswith("name,title,core,flash,ram,source")


def program(*, delegate: bool = False) -> bytes:
    """A .pte file: an input of 64 B, 96 B between, 32 B out, by two operators or a delegate; an arena of 160 B."""
    places = ((64, 0), (96, 64), (32, 0))
    tensors = [
        Fields({0: ("b", 1), 2: ("i", [1, size]), 6: Fields({0: ("I", 1), 1: ("I", offset)})})
        for size, offset in places
    ]
    values = [Fields({0: ("B", 5), 1: tensor}) for tensor in tensors]
    calls = [Fields({0: ("i", 0), 1: ("i", pair)}) for pair in ([0, 1], [1, 2])]
    kind = 2 if delegate else 1
    chain = Fields({2: [Fields({0: ("B", kind), 1: call}) for call in calls]})
    plan = {0: "forward", 2: values, 3: ("i", [0]), 4: ("i", [2]), 5: [chain], 8: ("q", [0, 160])}
    plan[7 if delegate else 6] = [Fields({0: "Xnnpack" if delegate else "cortex_m::conv"})]
    return packed(Fields({1: [Fields(plan)]}), b"ET12")


def test_a_pte_file_is_told_by_its_own_plan(tmp_path, capsys):
    """The arena, what lives when and the peak are those of ExecuTorch's plan; it fits or does not."""
    path = str(written(tmp_path, program(), "net.pte"))
    need = check_file(Path(path))
    assert (need.ram, need.live, need.over_time) == (160, 160, (64, 160, 128))
    assert need.step_name(need.peak_step) == "cortex_m::conv (operator 1 of 2)"
    assert [run(["check", path, "--ram", most]) for most in ("160", "159")] == [0, 1]
    assert "160 of 159 B" in capsys.readouterr().out


def test_what_a_delegate_allocates_is_not_known(tmp_path, capsys):
    """A program that hands its parts to a delegate has no RAM to judge, which the verdict says."""
    path = str(written(tmp_path, program(delegate=True), "net.pte"))
    assert run(["check", path, "--ram", "1MiB"]) == 1
    assert "RAM that is not known: the engine allocates out of sight" in capsys.readouterr().out

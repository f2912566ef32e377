"""Paths that are no ordinary file: one line each, no hang, no traceback, and nothing of theirs on the terminal."""

import json
import os

import pytest


def restore(command, tmp_path, *paths, words=()):
    return command("restore", "--task", "enhance", "-o", tmp_path / "out", *words, "--", *paths)


@pytest.mark.timeout(60)
def test_pipes_devices_and_links_that_lead_nowhere_are_one_line_each(command, photo, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    (tmp_path / "nowhere.jpg").symlink_to("not-here.jpg")
    (tmp_path / "empty").mkdir()
    names = ["pipe.jpg", "circle.jpg", "nowhere.jpg", "empty", "x" * 300 + ".jpg"]
    paths = [*(tmp_path / name for name in names), "/dev/zero", "a\0b.jpg"]
    code, out, err = restore(command, tmp_path, photo("good.png"), *paths)
    assert code == 1
    assert len(out.splitlines()) == 1
    lines = err.splitlines()
    assert len(lines) == len(paths)
    assert all(line.startswith("restoration: ") and line.endswith(".") for line in lines)
    assert sum("a pipe or a device" in line for line in lines) == 2


@pytest.mark.parametrize("name", [b"red\x1b[31m\x07\n.png", b"\xff\xfe.png", "left\u202egnp.exe.png".encode()])
def test_a_name_cannot_write_on_the_terminal(name, command, photo, tmp_path):
    path = os.path.join(os.fsencode(tmp_path), name)
    os.rename(photo("first.png"), path)
    bad = path[:-4] + b"-bad.png"
    with open(bad, "wb") as file:
        file.write(b"no picture")
    code, out, err = restore(command, tmp_path, os.fsdecode(path), os.fsdecode(bad))
    assert code == 1
    assert out.encode()
    assert out.rstrip("\n").isprintable()
    assert err.rstrip("\n").isprintable()
    code, out, _ = restore(command, tmp_path, os.fsdecode(path), words=["--json"])
    assert code == 0
    assert os.fsencode(json.loads(out)[0]["input_path"]) == path


def test_a_link_to_a_photo_is_that_photo_once(command, photo, tmp_path):
    path = photo("real.png")
    (tmp_path / "link.png").symlink_to(path)
    code, out, _ = restore(command, tmp_path, path, tmp_path / "link.png")
    assert code == 0
    assert len(out.splitlines()) == 1

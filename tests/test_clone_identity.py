"""A clone's id: kept when the clone is renamed, new when it is copied."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from csc_git.store.clone_id import Place, identify
from tests.world import CSC, World, put, state_of


def same(clone: Path, **changes: Any) -> bool:
    """Whether a clone keeps its id when these members of its recorded place differ."""
    directory = clone / CSC
    before = identify(directory, None, "host")
    file = directory / "clone.json"
    found = json.loads(file.read_text())
    file.write_text(json.dumps(found | {"place": found["place"] | changes}))
    return identify(directory, None, "host").id == before.id


@pytest.mark.parametrize(
    ("changes", "keeps"),
    [
        ({}, True),
        ({"inode": 1}, False),
        ({"born": 1}, False),
        ({"born": None}, True),
        ({"layer": "/var/lib/docker/overlay2/x/diff"}, False),
        ({"machine_id": "another"}, False),
        ({"machine_id": ""}, True),
        ({"boot": "another"}, True),  # the machine was restarted
        ({"host": "another"}, True),  # a laptop in another network
        (
            {"boot": "another", "host": "another"},
            False,
        ),  # an image, started twice
        ({"path": "/gone/project/.git/csc"}, True),  # the project was renamed
    ],
)
def test_the_id_depends_on_inode_machine_and_boot(
    world: World, changes: dict[str, Any], keeps: bool
) -> None:
    world.open("one").close()
    assert same(world.directory / "one", **changes) is keeps


def test_a_copy_gets_a_new_id_and_a_renamed_clone_keeps_its_id(
    world: World,
) -> None:
    first = world.open("one")
    first.close()
    shutil.copytree(world.directory / "one", world.directory / "copy")
    (world.directory / "one").rename(world.directory / "renamed")
    assert world.open("renamed", machine="one").clone.id == first.clone.id
    assert world.open("copy", machine="one").clone.id != first.clone.id


def test_a_snapshot_with_the_same_inodes_gets_a_new_id(
    world: World,
) -> None:
    one = world.open("one")
    copy = world.directory / "snapshot"
    shutil.copytree(world.directory / "one", copy)
    file = copy / CSC / "clone.json"
    found = json.loads(file.read_text())
    here = Place.of(copy / CSC)
    file.write_text(
        json.dumps(
            found | {"place": vars(replace(here, path=found["place"]["path"]))}
        )
    )
    assert identify(copy / CSC, None, "one").id != one.clone.id


@pytest.fixture
def overlays(tmp_path: Path) -> Iterator[Any]:
    """Mounts a directory as the image of two containers."""
    mounted: list[Path] = []

    def mount(image: Path) -> list[Path]:
        for name in ("a", "b"):
            parts = {
                part: tmp_path / f"{name}-{part}"
                for part in ("merged", "upper", "work")
            }
            for part in parts.values():
                part.mkdir()
            options = f"lowerdir={image},upperdir={parts['upper']},workdir={parts['work']}"
            command = [
                "mount",
                "-t",
                "overlay",
                "overlay",
                "-o",
                options,
                str(parts["merged"]),
            ]
            if subprocess.run(
                command, capture_output=True, check=False
            ).returncode:
                pytest.skip("overlayfs can't be mounted here")
            mounted.append(parts["merged"])
        return mounted

    yield mount
    for path in mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_two_containers_of_one_image_get_two_ids(
    world: World, overlays: Any
) -> None:
    image = world.open("image")
    put(image, "s", "k", 1)
    assert state_of(image) == "ok"
    image.close()
    (world.directory / "image").rename(
        world.directory / "base"
    )  # as an image has no other name
    first, second = overlays(world.directory / "base")
    one, two = world.open(first, machine=None), world.open(second, machine=None)
    assert len({image.clone.id, one.clone.id, two.clone.id}) == 3
    name = one.authors.sign_on().session
    assert one.claims.claim(None, ["src/a.py"]).status == "granted"
    assert state_of(two) == "ok"
    assert two.authors.sign_on().session != name
    assert two.claims.claim(None, ["src/a.py"]).status != "granted"


def test_a_copy_keeps_the_machine_name_and_gets_a_new_id(world: World) -> None:
    one = world.open("one")
    shutil.copytree(
        world.directory / "one", world.directory / "copy", symlinks=True
    )
    copy = world.open("copy", machine=None)
    assert copy.clone.id != one.clone.id
    assert copy.clone.machine == one.clone.machine

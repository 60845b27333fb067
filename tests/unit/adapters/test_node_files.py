"""Proof of life by locked files, with real processes."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tallystick.adapters import node_files
from tallystick.adapters.node_files import NodeFiles
from tallystick.delivery.model import Node, NodeKind
from tallystick.runtime import Millis

ID = "node_" + "0" * 32
pytestmark = pytest.mark.skipif(not node_files.BOOT_ID.exists(), reason="only Linux tells one boot from another")


def node(place: str, node_id: str = ID) -> Node:
    return Node(
        id=node_id,
        kind=NodeKind.SERVE,
        name="host:1",
        place=place,
        release="1",
        started_at=Millis(0),
        lease_until=Millis(0),
    )


@contextmanager
def living(directory: Path, *, fork: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Run a process that attests ID until it is killed; with `fork` a child of its own outlives it."""
    code = f"""
        import os, sys, time
        from pathlib import Path
        from tallystick.adapters.node_files import NodeFiles
        files = NodeFiles(Path({str(directory)!r}))
        files.attest({ID!r})
        if {fork} and not os.fork():
            time.sleep(60)
        print("attested", flush=True)
        time.sleep(60)
    """
    with subprocess.Popen(  # noqa: S603  # this very interpreter
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert "attested\n" == process.stdout.readline()
        yield process
        process.kill()


@pytest.mark.parametrize("fork", [False, True])
def test_a_process_is_dead_once_it_was_killed_and_not_before_whoever_it_leaves_behind(
    tmp_path: Path, *, fork: bool
) -> None:
    files = NodeFiles(tmp_path / "nodes")
    with living(tmp_path / "nodes", fork=fork) as process:
        assert not files.is_dead(node(files.place))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert files.is_dead(node(files.place))
        if fork:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_process_that_only_hangs_is_not_dead(tmp_path: Path) -> None:
    files = NodeFiles(tmp_path / "nodes")
    with living(tmp_path / "nodes") as process:
        process.send_signal(signal.SIGSTOP)
        assert not files.is_dead(node(files.place))


def test_of_another_place_or_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    files, others = NodeFiles(tmp_path / "nodes"), NodeFiles(tmp_path / "others")
    (tmp_path / "nodes" / ID).touch(mode=0o600)
    assert files.is_dead(node(files.place))
    for elsewhere in ("", others.place, "another boot/1/2"):
        assert not files.is_dead(node(elsewhere))
    assert not files.is_dead(node(files.place, "node_" + "1" * 32))
    assert not files.is_dead(node(files.place, f"../nodes/{ID}"))


def test_an_own_node_lives_until_it_is_forgotten_with_its_file(tmp_path: Path) -> None:
    files = NodeFiles(tmp_path / "nodes")
    files.attest(ID)
    assert not files.is_dead(node(files.place))
    assert [ID] == [path.name for path in (tmp_path / "nodes").iterdir()]
    files.forget(ID)
    assert [] == list((tmp_path / "nodes").iterdir())

"""The user's git: whatever git itself tolerates in configuration and environment changes no result.

One matrix of settings of `git config` and of variables of git(1), gone through one by one.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from csc_git.coordinator.coordinator import Coordinator
from tests.agents import agent, run
from tests.commands import csc
from tests.git_servers import http_server
from tests.world import REF, World, git, person, put, state_of

SETTINGS = [
    ("advice.pushNonFastForward", "false"), ("color.push", "always"), ("color.transport", "always"),
    ("color.ui", "always"), ("core.abbrev", "4"), ("core.alternateRefsCommand", "false"),
    ("core.attributesFile", "/nonexistent"), ("core.autocrlf", "true"),
    ("core.bigFileThreshold", "1"), ("core.commentChar", "C"), ("core.compression", "0"),
    ("core.fsmonitor", "true"),
    ("core.fsync", "none"), ("core.fsyncMethod", "writeout-only"), ("core.hooksPath", "/tmp/hooks"),
    ("core.logAllRefUpdates", "always"), ("core.pager", "false"), ("core.quotePath", "false"),
    ("core.sharedRepository", "group"), ("core.untrackedCache", "true"),
    ("core.warnAmbiguousRefs", "false"), ("diff.external", "false"), ("diff.noprefix", "true"),
    ("feature.experimental", "true"), ("feature.manyFiles", "true"), ("fetch.all", "true"),
    ("fetch.fsckObjects", "true"), ("fetch.negotiationAlgorithm", "skipping"),
    ("fetch.output", "compact"), ("fetch.parallel", "4"), ("fetch.prune", "true"),
    ("fetch.pruneTags", "true"), ("fetch.recurseSubmodules", "true"),
    ("fetch.showForcedUpdates", "false"), ("fetch.unpackLimit", "1000"),
    ("fetch.writeCommitGraph", "true"), ("format.pretty", "oneline"), ("gc.auto", "1"),
    ("gc.pruneExpire", "now"), ("i18n.commitEncoding", "latin1"),
    ("i18n.logOutputEncoding", "latin1"), ("log.date", "relative"), ("log.decorate", "full"),
    ("log.follow", "true"), ("log.mailmap", "true"), ("log.showSignature", "true"),
    ("maintenance.auto", "true"), ("merge.ff", "only"), ("pack.packSizeLimit", "1"),
    ("pack.threads", "1"), ("protocol.version", "0"), ("protocol.version", "1"),
    ("push.autoSetupRemote", "true"), ("push.default", "nothing"), ("push.followTags", "true"),
    ("push.negotiate", "true"), ("push.pushOption", "ci.skip"),
    ("push.recurseSubmodules", "only"), ("push.useForceIfIncludes", "true"),
    ("receive.denyDeletes", "true"), ("remote.csc.mirror", "true"),
    ("remote.csc.url", "/nonexistent"), ("remote.csc.vcs", "hg"),
    ("remote.origin.mirror", "true"), ("remote.origin.prune", "true"),
    ("remote.origin.tagOpt", "--tags"), ("remote.pushDefault", "elsewhere"),
    ("repack.packKeptObjects", "true"), ("safe.bareRepository", "explicit"),
    ("submodule.recurse", "true"), ("tag.gpgSign", "true"), ("trace2.normalTarget", "/dev/stderr"),
    ("trace2.eventTarget", "/dev/stderr"), ("transfer.advertiseSID", "true"),
    ("transfer.fsckObjects", "true"), ("transfer.unpackLimit", "1000"),
]  # fmt: skip
VARIABLES = [
    {"GIT_LITERAL_PATHSPECS": "1"}, {"GIT_GLOB_PATHSPECS": "1"}, {"GIT_NOGLOB_PATHSPECS": "1"},
    {"GIT_ICASE_PATHSPECS": "1"}, {"GIT_TRACE": "1"}, {"GIT_TRACE2": "1"},
    {"GIT_TRACE2_EVENT": "2"}, {"GIT_TRACE_PACKET": "1"}, {"GIT_TRACE_CURL": "2"},
    {"GIT_CURL_VERBOSE": "1"}, {"GIT_PAGER": "false"}, {"GIT_EDITOR": "false"},
    {"GIT_REFLOG_ACTION": "x"}, {"GIT_ADVICE": "1"}, {"GIT_FLUSH": "0"},
    {"GIT_PROTOCOL_FROM_USER": "0"}, {"GIT_DEFAULT_HASH": "sha256"}, {"LC_ALL": "de_DE.UTF-8"},
    {"LANG": "C", "LC_ALL": ""}, {"GIT_PUSH_OPTION_COUNT": "1", "GIT_PUSH_OPTION_0": "x"},
    {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_1": "color.ui", "GIT_CONFIG_VALUE_1": "always",
     "GIT_CONFIG_KEY_0": "push.pushOption", "GIT_CONFIG_VALUE_0": "x"},
    {"GIT_CONFIG_PARAMETERS": "'color.ui'='always'"}, {"GIT_INDEX_VERSION": "4"},
    {"GIT_DISCOVERY_ACROSS_FILESYSTEM": "1"}, {"GIT_PROGRESS_DELAY": "0"},
    {"GIT_EXTERNAL_DIFF": "false"}, {"GIT_DIFF_OPTS": "-u0"}, {"GIT_NO_REPLACE_OBJECTS": "1"},
    {"GIT_SEQUENCE_EDITOR": "false"}, {"GIT_OPTIONAL_LOCKS": "1"}, {"GIT_ATTR_NOSYSTEM": "1"},
]  # fmt: skip


def work(world: World) -> dict[str, Any]:
    """What two clones do, and all that they see of it."""
    one, two = world.open("one"), world.open("two")
    put(one, "issue:1", "status", {"a": 1})
    put(one, "issue:1", "other", "x")
    states = [state_of(one), state_of(two)]
    put(two, "issue:1", "status", {"b": 2})
    one.edits.delete(person(one), "issue:1", "other")
    states += [state_of(one), state_of(two), state_of(one)]
    one.authors.sign_on()
    claim = one.claims.claim(None, ["file.txt", "*.py"]).status
    history = [
        (edit.subject, [(c.key, c.change) for c in edit.changed])
        for edit in one.past.history("issue:1").edits
    ]
    states.append(state_of(two))
    one.store.repository.maintenance.write_graph()
    found = {
        "states": states,
        "values": [
            clone.values.retrieve("issue:1", "status").value
            for clone in (one, two)
        ],
        "deleted": [
            clone.values.retrieve("issue:1", "other").found
            for clone in (one, two)
        ],
        "history": history,
        "by session": len(one.past.history(session="tester@one").edits),
        "past": one.values.retrieve("issue:1", "other", at=_second(one)).value,
        "claim": claim,
        "keys": one.summary.status().keys,
        "remote": [ref.split()[1] for ref in _refs(world)],
        "parked": [
            one.summary.sync_state().parked,
            two.summary.sync_state().queued,
        ],
        "blame": sorted(one.past.blame("issue:1").keys),
    }
    world.close()
    return found


def _second(one: Coordinator) -> str:
    edits = one.past.history("issue:1").edits
    return next(
        edit.commit for edit in edits if edit.subject == "store issue:1/other"
    )


def _refs(world: World) -> list[str]:
    shown = subprocess.run(
        ["git", "ls-remote", str(world.remote)], capture_output=True, text=True, check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    ).stdout  # fmt: skip
    return shown.splitlines()


@pytest.fixture(scope="module")
def plain(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], dict[str, Any]]:
    """What the same work comes to with git as a fresh user has it; found once."""
    known = list[dict[str, Any]]()

    def expected() -> dict[str, Any]:
        if not known:
            known.append(work(World(tmp_path_factory.mktemp("plain"))))
        return known[0]

    return expected


@pytest.mark.parametrize(
    ("name", "value"), SETTINGS, ids=[f"{n}={v}" for n, v in SETTINGS]
)
def test_a_git_setting_changes_no_result(
    world: World, plain: Callable[[], dict[str, Any]], name: str, value: str
) -> None:
    expected = plain()
    for clone in ("one", "two"):
        world.clone(clone)
    git("config", "--global", name, value, cwd=world.directory)
    assert work(world) == expected


@pytest.mark.parametrize("variables", VARIABLES, ids=",".join)
def test_a_git_variable_changes_no_result(
    world: World,
    plain: Callable[[], dict[str, Any]],
    variables: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = plain()
    for clone in ("one", "two"):
        world.clone(clone)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert work(world) == expected


@pytest.mark.parametrize("given", ["abc", "-1", "", " "])
def test_an_invalid_git_config_count_is_no_traceback(
    world: World, given: str
) -> None:
    clone = world.clone("one")
    csc("set", "s", "k", "1", cwd=clone, env={"GIT_CONFIG_COUNT": given})


def test_conditionally_included_settings_are_used(
    world: World, tmp_path: Path, fresh_user: Path
) -> None:
    """A conditional include of the user's holds for a project, and not for our store in it."""
    world.make_remote()
    with http_server(tmp_path, password="right") as server:
        clone = world.clone("one", server.url("remote.git"))
        helper = "!f() { echo username=ada; echo password=right; }; f"
        (fresh_user / "work").write_text(
            f'[credential]\n\thelper = "{helper}"\n'
        )
        (fresh_user / ".gitconfig").write_text(
            (fresh_user / ".gitconfig").read_text()
            + f'[includeIf "gitdir:{clone}/.git"]\n\tpath = work\n'
        )
        one = world.open("one")
        put(one, "s", "k", 1)
        assert state_of(one) == "ok"


def test_a_users_http_header_is_sent_once(
    world: World, tmp_path: Path, fresh_user: Path
) -> None:
    world.make_remote()
    with http_server(tmp_path) as server:
        git(
            "config",
            "--global",
            "http.extraHeader",
            "X-Once: 1",
            cwd=fresh_user,
        )
        one = world.open(world.clone("one", server.url("remote.git")))
        put(one, "s", "k", 1)
        assert state_of(one) == "ok"
        assert server.headers
        assert all(headers.count("x-once") == 1 for headers in server.headers)


def test_a_server_works_on_after_its_worktree_is_removed(world: World) -> None:
    clone, other = world.clone("one"), world.open("other")
    git("remote", "set-url", "origin", "../remote.git", cwd=clone)
    tree = world.directory / "tree"
    git("worktree", "add", "-q", str(tree), cwd=clone)

    async def scenario() -> None:
        async with agent(tree, "--machine", "one") as claude:
            await claude.call("sign_on")
            assert (await claude.call("claim", resources=["src/*.py"]))[
                "status"
            ] == "granted"
            git("worktree", "remove", "--force", str(tree), cwd=clone)
            stored = await claude.call(
                "store_data", scope="s", key="k", value=1, confirm=True
            )
            assert stored["status"] == "synced"
            read = await claude.call(
                "retrieve_data", scope="s", key="k", fresh=True
            )
            assert read["sync_state"] == "ok"
            for resources in (["*.md"], ["issue:1"], ["do*/x*"]):
                claimed = await claude.call("claim", resources=resources)
                assert claimed["status"] == "granted"

    run(scenario)
    assert state_of(other) == "ok"
    assert other.values.retrieve("s", "k").value == 1
    assert git("rev-parse", REF, cwd=world.remote)

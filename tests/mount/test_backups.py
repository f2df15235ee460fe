"""Backup programs keep their repositories on the mount: two backups, the second of a changed tree, a check, a
restore, an old one forgotten; and the repository on the server's disk is whole."""

import os

from test_tools import sample_tree
from world import in_modes, run, same_tree


@in_modes("vsftpd:through", "proftpd:back")
def test_restic(place, tmp_path):
    source = sample_tree(tmp_path / "source")
    restic = ["restic", "-q", "--no-cache", "--repo"]
    how = {"env": {**os.environ, "RESTIC_PASSWORD": "secret"}, "timeout": 120}
    run(*restic, place.here / "repo", "init", **how)
    run(*restic, place.here / "repo", "backup", source, **how)
    (source / "a" / "file4").write_text("changed\n")
    run(*restic, place.here / "repo", "backup", source, **how)
    run(*restic, place.here / "repo", "check", "--read-data", **how)
    run(*restic, place.here / "repo", "restore", "latest", "--target", tmp_path / "back", **how)
    assert same_tree(source, tmp_path / "back" / source.relative_to("/")) == ""
    run(*restic, place.here / "repo", "forget", "--keep-last", "1", "--prune", **how)
    run(*restic, place.there / "repo", "check", "--read-data", **how)


@in_modes("vsftpd:back", "proftpd:through")
def test_borg(place, tmp_path):
    source = sample_tree(tmp_path / "source")
    how = {"env": {**os.environ, "BORG_BASE_DIR": str(tmp_path / "base"), "BORG_PASSPHRASE": "secret",
                   "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}, "timeout": 120}
    repo = place.here / "repo"
    run("borg", "init", "-e", "repokey", repo, **how)
    run("borg", "create", f"{repo}::one", ".", cwd=source, **how)
    (source / "a" / "file4").write_text("changed\n")
    run("borg", "create", f"{repo}::two", ".", cwd=source, **how)
    run("borg", "check", "--verify-data", repo, **how)
    (tmp_path / "back").mkdir()
    run("borg", "extract", f"{repo}::two", cwd=tmp_path / "back", **how)
    assert same_tree(source, tmp_path / "back") == ""
    run("borg", "delete", f"{repo}::one", **how)
    run("borg", "compact", repo, **how)
    run("borg", "check", "--verify-data", place.there / "repo", **how)

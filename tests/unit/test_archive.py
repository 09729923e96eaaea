"""A release is named after what it holds, and holds what the working tree holds."""

import subprocess
import tarfile

import pytest

from deployer.check.release_files import check_release_files
from deployer.flows.release import ARCHIVE, pack, release_files, release_id, unpack_needs
from deployer.model.errors import DeployError


@pytest.fixture
def flows(tmp_path):
    folder = tmp_path / "clone" / "flows"
    (folder / "shop").mkdir(parents=True)
    (folder / "shop" / "flow.py").write_text("one\n")
    (folder.parent / ".gitignore").write_text("__pycache__/\n")
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"],
    ):
        subprocess.run(["git", *arguments], cwd=folder.parent, check=True)
    return folder


def names(archive):
    with tarfile.open(archive) as tar:
        return {member.name for member in tar if member.isfile()}


def test_a_clean_tree_is_named_after_its_commit(flows, tmp_path):
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=flows, capture_output=True, text=True).stdout
    hash_ = pack(flows, tmp_path / "out")
    assert commit.startswith(release_id(flows, allow_dirty=False))
    assert names(tmp_path / "out" / ARCHIVE) == {"shop/flow.py"}
    assert pack(flows, tmp_path / "again") == hash_
    assert (tmp_path / "again" / ARCHIVE).read_bytes() == (tmp_path / "out" / ARCHIVE).read_bytes()


def test_the_locks_and_the_lists_of_packages_come_out_of_the_archive(flows, tmp_path):
    (flows / "shop" / "requirements.txt").write_text("prefect==1\n")
    (flows / "shop" / "apt.txt").write_text("jq\n")
    (flows / "shop" / "tests").mkdir()
    (flows / "shop" / "tests" / "requirements.txt").write_text("of no project\n")
    hash_ = pack(flows, tmp_path / "out")
    (tmp_path / "out/projects/gone").mkdir(parents=True)
    (tmp_path / "out/projects/gone/requirements.txt").write_text("of an earlier release\n")
    (flows / "shop" / "requirements.txt").write_text("changed since\n")
    [shop] = unpack_needs(tmp_path / "out", hash_)
    assert shop.name == "shop"
    assert {file.name: file.read_text() for file in shop.folder.iterdir()} == {
        "requirements.txt": "prefect==1\n",
        "apt.txt": "jq\n",
    }


def test_an_archive_that_its_manifest_does_not_name_is_refused(flows, tmp_path):
    hash_ = pack(flows, tmp_path / "out")
    (flows / "shop" / "flow.py").write_text("two\n")
    pack(flows, tmp_path / "out")
    with pytest.raises(DeployError, match=r"flows.tar is not the archive that its manifest names: run `make pack`"):
        unpack_needs(tmp_path / "out", hash_)
    (tmp_path / "out" / ARCHIVE).unlink()
    with pytest.raises(DeployError, match=r"flows.tar is missing"):
        unpack_needs(tmp_path / "out", hash_)


def test_uncommitted_changes_are_refused_where_only_committed_code_may_run(flows):
    (flows / "shop" / "new.py").write_text("two\n")
    with pytest.raises(DeployError, match="uncommitted changes"):
        release_id(flows, allow_dirty=False)


def test_uncommitted_changes_get_a_name_of_their_own_each(flows, tmp_path):
    clean = release_id(flows, allow_dirty=True)
    releases = set()
    for text in ("two\n", "three\n"):
        (flows / "shop" / "new.py").write_text(text)
        release = release_id(flows, allow_dirty=True)
        assert release.startswith(f"{clean}-dirty-")
        pack(flows, tmp_path / "out")
        assert names(tmp_path / "out" / ARCHIVE) == {"shop/flow.py", "shop/new.py"}
        releases.add(release)
    assert len(releases) == 2
    staged = subprocess.run(
        ["git", "diff", "--cached", "--name-only"], cwd=flows, capture_output=True, text=True
    ).stdout
    assert staged == "", "the user's own index is left alone"


def test_an_ignored_file_that_somebody_has_added_is_shipped(flows, tmp_path):
    (flows / "shop" / "seed.csv").write_text("a\n")
    (flows.parent / ".gitignore").write_text("*.csv\n")
    pack(flows, tmp_path / "out")
    assert names(tmp_path / "out" / ARCHIVE) == {"shop/flow.py"}
    subprocess.run(["git", "add", "--force", "flows/shop/seed.csv"], cwd=flows.parent, check=True)
    pack(flows, tmp_path / "out")
    assert names(tmp_path / "out" / ARCHIVE) == {"shop/flow.py", "shop/seed.csv"}
    (flows / "shop" / "seed.csv").unlink()
    pack(flows, tmp_path / "out")
    assert names(tmp_path / "out" / ARCHIVE) == {"shop/flow.py"}


@pytest.mark.parametrize("top", [".", ".."], ids=["flows is the repository", "flows is in it"])
def test_what_would_be_shipped_is_what_is_packed(flows, tmp_path, top):
    if top == ".":
        (flows.parent / ".git").rename(flows / ".git")
    (flows / ".gitattributes").write_text("notes.md export-ignore\n")
    (flows / "shop" / "notes.md").write_text("Of the author.\n")
    (flows / "shop" / "link.py").symlink_to("/etc/hostname")
    (flows / "shop" / "new.py").write_text("two\n")
    pack(flows, tmp_path / "out")
    with release_files(flows) as folder:
        files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
        assert folder.name == "flows"
    assert files == names(tmp_path / "out" / ARCHIVE) == {".gitattributes", "shop/flow.py", "shop/new.py"}
    assert not folder.exists()


def test_where_nothing_can_be_packed_all_would_be_shipped(tmp_path):
    with release_files(tmp_path) as folder:
        assert folder == tmp_path


def test_ignored_files_are_not_shipped(flows, tmp_path):
    (flows / "shop" / "__pycache__").mkdir()
    (flows / "shop" / "__pycache__" / "flow.pyc").write_text("")
    pack(flows, tmp_path / "out")
    assert names(tmp_path / "out" / ARCHIVE) == {"shop/flow.py"}


def test_outside_a_clone_one_line_says_so(tmp_path):
    (tmp_path / "flows").mkdir()
    with pytest.raises(DeployError, match="a release is named after a commit") as error:
        release_id(tmp_path / "flows", allow_dirty=False)
    assert "\n" not in str(error.value)


def test_what_no_release_may_hold_is_named(flows):
    (flows / "shop" / ".env").write_text("PASSWORD=x\n")
    (flows / "shop" / ".env.example").write_text("PASSWORD=\n")
    (flows / "shop" / ".vault-password").write_text("x\n")
    certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    key = certificate.replace("CERTIFICATE", "PRIVATE KEY")
    (flows / "shop" / "ca.pem").write_text(certificate)
    (flows / "shop" / "bundle.pem").write_text(certificate + key)
    (flows / "shop" / "id_ed25519").write_text(key.replace("PRIVATE", "OPENSSH PRIVATE"))
    (flows / "shop" / "id_of_shops.csv").write_text("id\n")
    (flows / "shop" / "site.key").write_bytes(b"\0")
    (flows / "shop" / "test_keys.py").write_text(f'"""Keys."""\n\nKEY = """\\\n{key}"""\n')
    (flows / "shop" / "vault.yml").write_text("password: x\n")
    (flows / "vault.yaml").write_text("$ANSIBLE_VAULT;1.1;AES256\n")
    (flows / "shop" / "two\nlines.py").write_text("")
    (flows / "shop" / "link.py").symlink_to("flow.py")
    subprocess.run(["git", "init", "-q", flows / "shop" / "library"], check=True)
    (flows / "shop" / "library" / "code.py").write_text("")
    assert {(problem.file, problem.message.split(",")[0].split(":")[0]) for problem in check_release_files(flows)} == {
        ("flows/shop/.env", "holds secrets"),
        ("flows/shop/.vault-password", "holds secrets"),
        ("flows/shop/bundle.pem", "holds a private key"),
        ("flows/shop/id_ed25519", "holds a private key"),
        ("flows/shop/site.key", "holds a private key"),
        ("flows/shop/vault.yml", "is a vault in plain text"),
        ("flows/shop/two lines.py", "has a line break in its name"),
        ("flows/shop/link.py", "is a link"),
        ("flows/shop/library/", "is a repository of its own"),
    }


def test_a_folder_without_a_repository_is_for_the_name_of_the_release_to_refuse(tmp_path):
    (tmp_path / ".env").write_text("PASSWORD=x\n")
    assert check_release_files(tmp_path) == []

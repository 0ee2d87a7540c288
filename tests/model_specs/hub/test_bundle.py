"""A bundle carries weights byte for byte, and one that is not sound leaves nothing behind."""

import io
import json
import os
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from codeserve.model_specs.hub import bundle
from codeserve.model_specs.hub.artifact import Artifact
from codeserve.model_specs.hub.bundle_manifest import BundleError
from codeserve.model_specs.hub.stored import Stored, StoredFile
from codeserve.model_specs.spec import Hub

FAMILY = {"mine.toml": 'model_name = "mine"\n'}
Edit = Callable[[dict[str, Any]], None]


def ignore(done: int, total: int | None) -> None:
    pass


def stored(root: Path, *names: str, entry: str = ".") -> Stored:
    """Files of ``root`` as a store would record them."""
    files = []
    for name in names:
        content = (root / name).read_bytes()
        modified = (root / name).stat().st_mtime_ns
        files.append(StoredFile(name, len(content), sha256(content).hexdigest(), modified))
    return Stored(
        artifact=Artifact(hub=Hub.HUGGINGFACE, repository="me/mine", revision="1" * 40),
        commit="1" * 40,
        path=root / entry,
        root=root,
        files=tuple(files),
        pulled_at=1.0,
    )


@pytest.fixture
def weights(tiny_deepseek_gguf: Path) -> Stored:
    name = tiny_deepseek_gguf.name
    return stored(tiny_deepseek_gguf.parent, name, entry=name)


@pytest.fixture
def folder(tiny_deepseek_folder: Path) -> Stored:
    names = [file.name for file in sorted(tiny_deepseek_folder.iterdir())]
    return stored(tiny_deepseek_folder, *names)


@pytest.fixture
def path(tmp_path: Path, weights: Stored) -> Path:
    """A sound bundle of one GGUF file."""
    bundle.write(tmp_path / "one.tar", [weights], FAMILY, ignore)
    return tmp_path / "one.tar"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "store" / "files"


def left_in(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".lock"]


def assert_refused(path: Path, target: Path, reason: str) -> None:
    with pytest.raises(BundleError, match=reason) as raised:
        bundle.unpack(path, target, ignore)
    assert str(path) in str(raised.value)
    assert left_in(target) == []


def entries(path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as archive:
        return [
            (entry, content.read())
            for entry in archive.getmembers()
            if (content := archive.extractfile(entry)) is not None
        ]


def write_archive(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(path, "w") as archive:
        for entry, content in members:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def edit_manifest(path: Path, edit: Edit) -> None:
    (head, content), *rest = entries(path)
    manifest = json.loads(content)
    edit(manifest)
    write_archive(path, [(head, json.dumps(manifest).encode()), *rest])


def test_a_file_and_a_folder_come_out_as_they_went_in(
    tmp_path: Path, target: Path, weights: Stored, folder: Stored
) -> None:
    bundle.write(tmp_path / "both.tar", [weights, folder], {}, ignore)
    for before, after in zip(
        (weights, folder), bundle.unpack(tmp_path / "both.tar", target, ignore), strict=True
    ):
        assert after.path.relative_to(after.root) == before.path.relative_to(before.root)
        assert (after.artifact, after.commit) == (before.artifact, before.commit)
        assert after.root.is_relative_to(target)
        for file, was in zip(after.files, before.files, strict=True):
            assert (file.name, file.sha256) == (was.name, was.sha256)
            assert (after.root / file.name).read_bytes() == (before.root / file.name).read_bytes()
            assert (after.root / file.name).stat().st_mtime_ns == file.modified


def test_the_manifest_comes_first_and_names_every_file_with_its_digest(
    path: Path, weights: Stored
) -> None:
    (head, content), (file, _) = entries(path)
    manifest = json.loads(content)
    assert (head.name, file.name) == ("manifest.json", f"weights/0/{weights.files[0].name}")
    assert manifest["codeserve_bundle"] == 1
    assert manifest["weights"][0]["artifact"]["repository"] == "me/mine"
    assert manifest["weights"][0]["files"][0]["sha256"] == weights.files[0].sha256
    assert bundle.read_manifest(path).definitions == FAMILY


def test_the_same_weights_make_the_same_bundle(path: Path, weights: Stored, tmp_path: Path) -> None:
    bundle.write(tmp_path / "again.tar", [weights], FAMILY, ignore)
    assert (tmp_path / "again.tar").read_bytes() == path.read_bytes()


def test_unpacking_twice_comes_to_the_same_place(path: Path, target: Path) -> None:
    first = bundle.unpack(path, target, ignore)
    second = bundle.unpack(path, target, ignore)
    assert [one.path for one in first] == [one.path for one in second]
    assert left_in(target) == [first[0].path]


def test_unpacking_again_mends_what_was_damaged(path: Path, target: Path, weights: Stored) -> None:
    [first] = bundle.unpack(path, target, ignore)
    first.path.write_bytes(b"damaged")
    bundle.unpack(path, target, ignore)
    assert first.path.read_bytes() == weights.path.read_bytes()


def test_progress_rises_to_the_size_of_the_weights(
    tmp_path: Path, target: Path, weights: Stored
) -> None:
    seen: list[tuple[int, int | None]] = []
    bundle.write(tmp_path / "one.tar", [weights], {}, lambda *now: seen.append(now))
    assert seen == sorted(seen)
    assert seen[-1] == (weights.bytes, weights.bytes)
    seen.clear()
    bundle.unpack(tmp_path / "one.tar", target, lambda *now: seen.append(now))
    assert seen == sorted(seen)
    assert seen[-1] == (weights.bytes, weights.bytes)


def test_a_file_that_changed_since_it_was_stored_is_not_exported(
    tmp_path: Path, weights: Stored
) -> None:
    copy = tmp_path / "weights" / weights.files[0].name
    copy.parent.mkdir()
    content = bytearray(weights.path.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    changed = msgspec.structs.replace(weights, root=copy.parent, path=copy)
    with pytest.raises(BundleError, match="is not what was stored"):
        bundle.write(tmp_path / "one.tar", [changed], {}, ignore)
    copy.write_bytes(content[:-1])
    with pytest.raises(BundleError, match="is not what was stored"):
        bundle.write(tmp_path / "one.tar", [changed], {}, ignore)
    copy.unlink()
    with pytest.raises(BundleError, match="No such file"):
        bundle.write(tmp_path / "one.tar", [changed], {}, ignore)
    assert list(tmp_path.glob("one.tar*")) == []


def test_a_bundle_that_is_stopped_leaves_the_one_before(path: Path, weights: Stored) -> None:
    before = path.read_bytes()

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bundle.write(path, [weights], {}, stop)
    assert path.read_bytes() == before
    assert list(path.parent.glob("*.part")) == []


def test_unpacking_that_is_stopped_leaves_nothing(path: Path, target: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bundle.unpack(path, target, stop)
    assert left_in(target) == []


def test_what_a_killed_import_left_is_cleared(path: Path, target: Path) -> None:
    (target / ".import" / "0").mkdir(parents=True)
    (target / ".import" / "0" / "half.gguf").write_bytes(b"half")
    [one] = bundle.unpack(path, target, ignore)
    assert left_in(target) == [one.path]


def test_space_is_checked_first(path: Path, target: Path, tmp_path: Path, weights: Stored) -> None:
    huge = msgspec.structs.replace(weights.files[0], bytes=10**18)
    with pytest.raises(BundleError, match=r"GB free, but 1000000000\.00 GB are needed"):
        bundle.write(
            tmp_path / "huge.tar", [msgspec.structs.replace(weights, files=(huge,))], {}, ignore
        )
    edit_manifest(path, lambda manifest: manifest["weights"][0]["files"][0].update(bytes=10**18))
    with pytest.raises(BundleError, match="GB are needed"):
        bundle.unpack(path, target, ignore)
    assert left_in(target) == []


@pytest.mark.parametrize("part", [0.001, 0.5, 0.999])
def test_a_flipped_byte_is_found(path: Path, target: Path, part: float) -> None:
    _, (file, content) = entries(path)
    damaged = bytearray(content)
    damaged[int(len(content) * part)] ^= 1
    write_archive(path, [entries(path)[0], (file, bytes(damaged))])
    assert_refused(path, target, r"the SHA-256 of .* is [0-9a-f]{64} instead of [0-9a-f]{64}")


@pytest.mark.parametrize("kept", [0.0, 0.0001, 0.01, 0.5, 0.99])
def test_a_bundle_that_was_cut_off_is_refused(path: Path, target: Path, kept: float) -> None:
    os.truncate(path, int(path.stat().st_size * kept))
    assert_refused(path, target, "is no ")


def test_a_bundle_cut_off_between_two_files_is_refused(path: Path, target: Path) -> None:
    write_archive(path, entries(path)[:1])
    assert_refused(path, target, "it ends before weights/0/")


def test_what_the_manifest_does_not_list_is_refused(path: Path, target: Path) -> None:
    extra = tarfile.TarInfo("weights/0/extra.py")
    write_archive(path, [*entries(path), (extra, b"")])
    assert_refused(path, target, r"holds 'weights/0/extra\.py', which its manifest does not list")


def test_a_file_in_the_place_of_another_is_refused(path: Path, target: Path) -> None:
    head, (_, content) = entries(path)
    write_archive(path, [head, (tarfile.TarInfo("weights/0/other.gguf"), content)])
    assert_refused(path, target, r"it holds 'weights/0/other\.gguf'")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_links_and_devices_are_refused(path: Path, target: Path, kind: bytes) -> None:
    head, (file, _) = entries(path)
    file.type, file.linkname = kind, "/etc/passwd"
    write_archive(path, [head, (file, b"")])
    assert_refused(path, target, "which is not a file")


@pytest.mark.parametrize(
    "name",
    [
        "../out.gguf",
        "/tmp/out.gguf",
        "a/../../out",
        "",
        ".",
        "a//b",
        "a\\b",
        "a\nb",
        "a\x00b",
        "a/",
    ],
)
def test_names_that_leave_the_folder_are_refused(path: Path, target: Path, name: str) -> None:
    def rename(manifest: dict[str, Any]) -> None:
        manifest["weights"][0]["files"][0]["name"] = manifest["weights"][0]["entry"] = name

    edit_manifest(path, rename)
    assert_refused(path, target, "names a file outside of its folder")


def test_family_files_that_leave_their_folder_are_refused(path: Path, target: Path) -> None:
    edit_manifest(path, lambda manifest: manifest.update(definitions={"../mine.toml": ""}))
    assert_refused(path, target, "names a file outside of its folder")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda m: m.update(codeserve_bundle=2), "version 2, but this release reads version 1"),
        (lambda m: m.pop("codeserve_bundle"), "cannot be read: .*codeserve_bundle"),
        (lambda m: m.update(unknown=1), "unknown"),
        (lambda m: m.update(weights=[]), "length >= 1"),
        (lambda m: m["weights"][0].update(entry="other"), "lists no file 'other'"),
        (lambda m: m["weights"][0].update(files=[]), "length >= 1"),
        (lambda m: m["weights"][0]["files"].extend(m["weights"][0]["files"]), "a file twice"),
        (lambda m: m["weights"][0]["files"][0].update(sha256="?"), "matching regex"),
        (lambda m: m["weights"][0]["files"][0].update(bytes=-1), ">= 0"),
        (lambda m: m["weights"][0]["files"][0].update(bytes=1), "it holds .* of"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(
    path: Path, target: Path, edit: Edit, reason: str
) -> None:
    edit_manifest(path, edit)
    assert_refused(path, target, reason)


def test_another_archive_is_no_bundle(path: Path, target: Path) -> None:
    write_archive(path, [(tarfile.TarInfo("model.gguf"), b"GGUF")])
    assert_refused(path, target, r"does not start with manifest\.json")


def test_another_file_is_no_bundle(weights: Stored, target: Path) -> None:
    assert_refused(weights.path, target, "is no bundle")


def test_a_bundle_that_is_not_there_is_named(tmp_path: Path, target: Path) -> None:
    assert_refused(tmp_path / "none.tar", target, "No such file")

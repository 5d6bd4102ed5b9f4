from pathlib import Path

import pytest

from alexnet.data.remote.address import Address, is_url, plain, recorded
from alexnet.errors import InputError


def test_what_is_an_address() -> None:
    for text in ("https://host/x", "s3://bucket/x", "HTTP://h"):
        assert is_url(text)
    for other in ("/x", "x", "C:/x", "https:/x", "://x", Path("https://host/x"), None):
        assert not is_url(other)


@pytest.mark.parametrize(
    ("text", "file", "told"),
    [
        ("https://h/a/b/", "https://h/a/b/x.tar", "https://h/a/b/"),
        ("https://h/a/index.json", "https://h/a/x.tar", "https://h/a/index.json"),
        ("http://h:81", "http://h:81/x.tar", "http://h:81"),
        ("https://u:p@h/a?sig=s&t=1#f", "https://u:p@h/a/x.tar?sig=s&t=1", "https://h/a"),
        ("https://u:p%2Fq@h?sig=s", "https://u:p%2Fq@h/x.tar?sig=s", "https://h"),
        ("HTTPS://h/a", "https://h/a/x.tar", "https://h/a"),
        ("s3://bucket/a/", "s3://bucket/a/x.tar", "s3://bucket/a/"),
        ("sftp://me:secret@h/a", "sftp://me:secret@h/a/x.tar", "sftp://h/a"),
    ],
)
def test_files_of_a_folder_and_what_is_told_of_it(text: str, file: str, told: str) -> None:
    address = Address.parsed(text)
    assert address.joined("x.tar") == file
    assert address.shown == told
    assert recorded(text) == (text.partition("?")[0] if "@" not in text else told)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https:///x", "names no host"),
        ("https://[/x", "names no host"),
        ("https://h:port/x", "names no host"),
        ("s3://", "names no folder"),
        ("file:///x", "give --data the folder's path"),
        ("https://h/a b", "is no address"),
        ("https://h/a\r\nX: y", "is no address"),
        ("https://h/ü", "is no address"),
        ("simplecache::s3://b/x", "is no address"),
    ],
)
def test_what_is_none(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Address.parsed(text)


def test_only_plain_names_are_taken_from_an_index() -> None:
    assert plain("train-000000.tar", ".tar") == "train-000000.tar"
    for name in (
        "../x.tar",
        "/x.tar",
        "a/x.tar",
        "x.tar?y",
        ".x.tar",
        "x.zip",
        "https://h/x.tar",
        "x\n.tar",
        5,
        "a" * 300 + ".tar",
    ):
        with pytest.raises(ValueError, match="no plain name"):
            plain(name, ".tar")

"""A URL has one reading, or it is refused."""

from __future__ import annotations

import pytest

from headrace.errors import BlockedDestination
from headrace.webhooks.address import networks
from headrace.webhooks.address import read as read_address
from headrace.webhooks.destination import read

LOCAL = networks(["127.0.0.0/8", "::1/128"])

# Bad inputs 112 and 121, and more of their kind.
MALFORMED = [
    "",
    "example.com",
    "//example.com/",
    "ftp://example.com/",
    "gopher://example.com/",
    "file:///etc/passwd",
    "https:/\\127.0.0.1/",
    "https:\\\\example.com/",
    "https:example.com",
    "https:///example.com",
    "http://good.com\\@127.0.0.1/",
    "https://good.com\\@127.0.0.1/",
    "https://a@b@127.0.0.1/",
    "https://user:secret@example.com/",
    "https://1.1.1.1 &@2.2.2.2# @3.3.3.3/",
    "https://example.com\t.evil/",
    "https://example.com\r\nHost: evil/",
    "https://example.com/\n",
    " https://example.com/",
    "https://example.com/ x",
    "https://example.com/\x00",
    "https://example.com/#fragment",
    "https://example.com/%zz",
    "https://example.com/[x]",
    "https://[not-ip]/",
    "https://[::1",
    "https://[fe80::1%25eth0]/",
    "https://[1.2.3.4]/",
    "https://::1/",
    "https://ⓛocalhost/",
    "https://exam\u212ale.com/",  # a Kelvin sign
    "https://exampl\u017fe.com/",  # a long s
    "https://bücher.example/",
    "https://exa%6dple.com/",
    "https://127.1/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://2130706433/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.0.0.1./",
    "https://127.0.0.1.5/",
    "https://256.1.1.1/",
    "https://0/",
    "https://example.com./",
    "https://.example.com/",
    "https://exam..ple.com/",
    "https://-example.com/",
    "https://example-.com/",
    "https://" + "a" * 64 + ".com/",
    "https://" + "a." * 130 + "com/",
    "https://example.com:/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:443443/",
    "https://example.com:+443/",
    "https://example.com/" + "a" * 2048,
]
BLOCKED = [
    "http://example.com/",
    "https://example.com:22/",
    "https://example.com:25/",
    "https://example.com:6379/",
    "http://example.com:443/",
    "https://localhost/",
    "https://metadata/",
    "https://printer.local/",
    "https://metadata.google.internal/",
    "https://router.home.arpa/",
    "https://a.localhost/",
    "https://127.0.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2002:a9fe:a9fe::]/",
    "http://1.1.1.1/",
    "https://1.1.1.1:6379/",
]


@pytest.mark.parametrize("url", MALFORMED)
def test_what_others_may_read_otherwise_is_refused(url: str) -> None:
    with pytest.raises(BlockedDestination):
        read(url)


@pytest.mark.parametrize("url", BLOCKED)
def test_what_leads_inside_is_refused_at_sight(url: str) -> None:
    with pytest.raises(BlockedDestination):
        read(url).precheck(())


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM:443/a%2Fb?x=%20y&z=/?", "https://example.com/a%2Fb?x=%20y&z=/?"),
        ("https://example.com?x=1", "https://example.com/?x=1"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700:0::1111]/", "https://[2606:4700::1111]/"),
        ("https://a_b.example.com/", "https://a_b.example.com/"),
    ],
)
def test_what_is_plain_is_read(url: str, written: str) -> None:
    there = read(url)
    there.precheck(())
    assert there.url == written


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/", "http://localhost:9000/", "https://[::1]:22/"]
)
def test_in_allowed_networks_any_port_will_do(url: str) -> None:
    read(url).precheck(LOCAL)
    with pytest.raises(BlockedDestination):
        read(url).precheck(())


def test_every_address_of_a_name_must_be_public() -> None:
    there = read("https://example.com/")
    public, inside = read_address("8.8.8.8"), read_address("10.0.0.1")
    there.check([public], ())
    with pytest.raises(BlockedDestination, match="public internet"):
        there.check([public, inside], ())
    there.check([public, inside], networks(["10.0.0.0/8"]))


def test_http_and_odd_ports_are_for_allowed_networks_alone() -> None:
    public, local = read_address("8.8.8.8"), read_address("127.0.0.1")
    for url in ("http://example.com/", "https://example.com:9000/"):
        read(url).check([local], LOCAL)
        with pytest.raises(BlockedDestination):
            read(url).check([local, public], LOCAL)

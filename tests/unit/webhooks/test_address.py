"""Only the public internet is dialled, in whatever clothes an address comes."""

from __future__ import annotations

import pytest

from headrace.errors import ConfigError
from headrace.webhooks.address import is_public, is_within, networks, read

# Bad inputs 112 to 116, and what Python's own `is_global` holds for public.
INSIDE = """
0.0.0.0 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16 169.254.169.254
172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255
198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::169.254.169.254 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:169.254.169.254
::ffff:10.0.0.1 ::ffff:0:127.0.0.1 ::ffff:0:169.254.169.254 64:ff9b::a9fe:a9fe 64:ff9b::7f00:1
64:ff9b:1::a9fe:a9fe 64:ff9b:1::808:808 100::1 2001:0:4136:e378:8000:63bf:5601:5601 2001:2::1
2001:db8::1 2002:a9fe:a9fe:: 2002:808:808:: 3fff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1
fe80::1%eth0 fec0::1 ff02::1 2606:4700::1%eth0
"""
PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0
192.0.1.1 223.255.255.255 2001:200::1 2606:4700::1111 2a00:1450::1 ::ffff:8.8.8.8 64:ff9b::808:808
"""


@pytest.mark.parametrize("text", INSIDE.split())
def test_what_leads_inside_is_not_public(text: str) -> None:
    assert not is_public(read(text))


@pytest.mark.parametrize("text", PUBLIC.split())
def test_what_anybody_can_dial_is_public(text: str) -> None:
    assert is_public(read(text))


def test_a_network_contains_an_address_in_any_clothes() -> None:
    local = networks(["127.0.0.0/8", "::1/128"])
    assert is_within(read("127.1.2.3"), local)
    assert is_within(read("::ffff:127.0.0.1"), local)
    assert is_within(read("::1"), local)
    assert not is_within(read("10.0.0.1"), local)
    assert not is_within(read("::2"), local)
    assert not is_within(read("127.0.0.1"), ())


@pytest.mark.parametrize("text", ["localhost", "127.0.0.1/8", "10.0.0.0/40", ""])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="webhook_allow"):
        networks([text])

"""Address: which IP addresses a webhook may be sent to.

The table is ours: Python's `is_global` holds addresses for public that lead inside, such as
`64:ff9b::a9fe:a9fe`, which a NAT64 gateway turns into the metadata service of a cloud. It follows
the IANA special-purpose registries (RFC 6890, as of 2025), and forbids more than they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from headrace.errors import ConfigError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_INSIDE_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # behind a carrier's NAT; the metadata service of Alibaba
        "127.0.0.0/8",  # this host
        "168.63.129.16/32",  # the metadata service of Azure
        "169.254.0.0/16",  # link-local; the metadata service of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocols
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, retired
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_INSIDE_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocols: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",  # documentation
    )
)
_CARRIES_V4 = (
    IPv6Network("::ffff:0:0/96"),  # IPv4-mapped: the kernel dials the IPv4 address
    IPv6Network("64:ff9b::/96"),  # NAT64: so does the gateway, and a DNS64 hands it out
)


def unwrapped(address: Address) -> Address:
    """Return the IPv4 address that is dialled in the end, if an IPv6 address carries one."""
    if isinstance(address, IPv6Address) and any(address in network for network in _CARRIES_V4):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def is_public(address: Address) -> bool:
    """Return whether an address is one of the public internet, and nothing else."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return False
    real = unwrapped(address)
    if isinstance(real, IPv4Address):
        return not any(real in network for network in _INSIDE_V4)
    return real in _GLOBAL_V6 and not any(real in network for network in _INSIDE_V6)


def is_within(address: Address, networks: Iterable[Network]) -> bool:
    """Return whether an address is in one of some networks."""
    real = unwrapped(address)
    return any(real in network for network in networks)


def read(text: str) -> Address:
    """Return an address as a socket tells it; one with a zone is never public.

    Raises:
        ValueError: it is no address.
    """
    return ip_address(text)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return networks, such as `127.0.0.0/8`.

    Raises:
        ConfigError: one of them is none.
    """
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise ConfigError(f"webhook_allow: {error}; write networks such as 127.0.0.0/8") from None

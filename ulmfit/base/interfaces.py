"""The network interface of this machine that leads to another one."""

import socket
import struct
import sys
from contextlib import suppress

_SIOCGIFADDR = 0x8915  # <linux/sockios.h>: the IPv4 address of an interface


def interface_to(host: str, port: int) -> str:
    """The interface by which this machine is seen from `host`, such as ``eth0``.

    "" if that is the loopback, or not known: without Linux or IPv4. Nothing is sent.
    """
    if not sys.platform.startswith("linux"):
        return ""
    with suppress(OSError, UnicodeError):  # a malformed host name
        found = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(found[0][4])
            own = probe.getsockname()[0]
            named = {_address(probe, name): name for _, name in socket.if_nameindex()}
        name = named.get(own, "")
        return "" if name == "lo" else name
    return ""


def _address(probe: socket.socket, name: str) -> str:
    """The IPv4 address of an interface; "" if it has none."""
    import fcntl  # not on Windows

    try:
        request = struct.pack("256s", name.encode()[:15])
        answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
    except OSError:
        return ""
    return socket.inet_ntoa(answer[20:24])

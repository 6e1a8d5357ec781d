"""The values of settings that are text with a form of its own: names, patterns, paths, URLs, networks."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from proxy.config.units import parse_count

StrategyName = Literal["network-first", "cache-first", "stale-while-revalidate", "network-only", "cache-only"]
Credentials = Literal["bypass", "partition", "ignore"]
Coding = Literal["zstd", "br", "gzip"]


def _method(value: str) -> str:
    if re.fullmatch(r"[A-Z][A-Z-]*", value) is None:
        raise ValueError(f"{value!r} is not a method; methods are case-sensitive, write GET, HEAD, POST, ...")
    return value


def _field_name(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", value) is None:
        raise ValueError(f"{value!r} is not a field name; write the name alone, as in Accept-Language")
    return value


def _media_range(value: str) -> str:
    if re.fullmatch(r"[a-z0-9.+*-]+/[a-z0-9.+*-]+", value) is None:
        raise ValueError(
            f"{value!r} is not a content type; write type/subtype in lower case, as in image/* or text/css"
        )
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is not a network ({error}); write 10.0.0.7 or 10.0.0.0/8") from None


def _host_name(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._-]{1,253}|\[?[0-9A-Fa-f:.]{2,45}\]?", value) is None:
        raise ValueError(f"{value!r} is not a host name; write it without scheme and port, as in ops.example.org")
    return value.lower().strip("[]").rstrip(".")


def _local_path(value: str) -> str:
    if re.fullmatch(r"/(?!/)[!-~]*", value) is None or "#" in value:
        raise ValueError(f"{value!r} is not a path of the application; write it as in /offline.html")
    return value


def _public_url(value: str) -> str:
    if re.fullmatch(r"https?://[^/@?#\s]+/?", value) is None:
        raise ValueError(f"{value!r} is not scheme and host; write it without a path, as in https://www.example.org")
    return value.rstrip("/")


def _precached_url(value: str) -> str:
    if re.fullmatch(r"(https?://[^/@?#\s]+)?/(?!/)[!-~]*", value) is None or "#" in value:
        raise ValueError(f"{value!r} is neither a path nor a URL; write /offline.html or http://host/offline.html")
    return value


def _realtime_path(value: str) -> str:
    if re.fullmatch(r"/[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*/?", value) is None:
        raise ValueError(f"{value!r} is not a path for the core; write it as in /socket.io/")
    return value


def _browser_origin(value: str) -> str:
    if value != "*" and re.fullmatch(r"https?://[^/@?#\s*]+", value) is None:
        raise ValueError(f"{value!r} is not an origin; write scheme and host, as in https://app.example.org, or *")
    return value.lower()


def _channel_glob(value: str) -> str:
    if not 0 < len(value) <= 200 or not value.isprintable() or value.startswith("conversation:"):
        raise ValueError(f"{value!r} is not the name of channels; write it as in reports or news:*")
    return value


Status = Annotated[int, Field(ge=200, le=599), BeforeValidator(parse_count)]
ErrorStatus = Annotated[int, Field(ge=400, le=599), BeforeValidator(parse_count)]
Method = Annotated[str, AfterValidator(_method)]
FieldName = Annotated[str, AfterValidator(_field_name)]
MediaRange = Annotated[str, AfterValidator(_media_range)]
Network = Annotated[str, AfterValidator(_network)]
HostName = Annotated[str, AfterValidator(_host_name)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
LocalPath = Annotated[str, AfterValidator(_local_path)]
PrecachedUrl = Annotated[str, AfterValidator(_precached_url)]
BrowserOrigin = Annotated[str, AfterValidator(_browser_origin)]
RealtimePath = Annotated[str, AfterValidator(_realtime_path)]
ChannelGlob = Annotated[str, AfterValidator(_channel_glob)]

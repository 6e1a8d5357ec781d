"""What the realtime core is told of the configuration."""

from __future__ import annotations

from pathlib import Path

from proxy.config.model import Config
from proxy.config.realtime import Realtime as Settings
from proxy.errors import ConfigurationError
from realtime.limits import Rate
from realtime.settings import (
    AuthenticationSettings,
    BatchSettings,
    ChannelRule,
    ChatSettings,
    CoreSettings,
    EngineSettings,
    HubSettings,
    LimitSettings,
    OriginSettings,
    RecoverySettings,
    TypingSettings,
)


def core_settings(settings: Settings) -> CoreSettings:
    """The core's settings as ours say them."""
    limits, origin = settings.limits, settings.origin
    return CoreSettings(
        engine=EngineSettings(
            path=settings.path,
            ping_interval=settings.ping_interval,
            ping_timeout=settings.ping_timeout,
            max_payload=settings.max_payload,
            max_queue=settings.max_queue,
            packets=_rate(max(limits.packets, 2 * limits.events)),
            max_sessions=settings.max_sessions,
            entering=limits.entering,
            address_share=limits.address_share / 100,
            handshakes=Rate(float(limits.handshakes), 20.0 * limits.handshakes),
            allowed_origins=settings.allowed_origins,
            transports=settings.transports,
            compression=compression_threshold(settings),
        ),
        hub=HubSettings(
            connect_timeout=settings.connect_timeout,
            max_attached=settings.max_payload,
            recovery=_recovery(settings),
        ),
        chat=chat_settings(settings),
        authentication=_authentication(settings),
        origin=OriginSettings(
            session=origin.session,
            profiles=origin.profiles,
            likes=origin.likes,
            persist=origin.persist,
            authorize=origin.authorize,
            delete=origin.delete,
            fields=() if origin.token is None else (("Authorization", f"Bearer {origin.token}"),),
            patience=origin.patience,
            remember_consent=origin.remember,
            recheck=origin.recheck,
            remember_profiles=origin.profiles_max_age,
        ),
    )


def chat_settings(settings: Settings) -> ChatSettings:
    """What its conversations and channels go by."""
    limits, batch = settings.limits, settings.batch
    return ChatSettings(
        deliver=settings.deliver,
        users_per_connection=settings.users_per_connection,
        channel_delay=settings.debounce,
        batch=BatchSettings(
            mode=batch.mode,
            delay=batch.delay,
            max_messages=batch.max_messages,
            max_bytes=batch.max_bytes,
            queued_messages=limits.waiting,
            queued_bytes_in_all=limits.waiting_bytes,
        ),
        typing=TypingSettings(settings.typing.debounce, settings.typing.stop_after),
        limits=LimitSettings(
            events=_rate(limits.events),
            messages=_rate(limits.messages),
            user_messages=_rate(limits.messages),
            conversations_per_connection=limits.conversations,
            channels_per_connection=limits.channels,
            content_length=limits.message_length,
            messages_at_once=limits.messages_at_once,
        ),
        channels=tuple(ChannelRule(c.match, c.mode, c.profiles, c.likes) for c in settings.channels),
    )


def compression_threshold(settings: Settings) -> int | None:
    """The bytes from which messages are compressed; None where they never are."""
    return settings.compression.threshold if settings.compression.enabled else None


def journal_directory(config: Config) -> Path | None:
    """Where recovery outlives the process; None where it does not."""
    recovery = config.realtime.recovery
    if recovery.window == 0:
        return None
    if recovery.dir is not None:
        return recovery.dir
    return config.cache.dir / "realtime" if config.cache.disk else None


def _recovery(settings: Settings) -> RecoverySettings | None:
    recovery = settings.recovery
    if recovery.window == 0:
        return None
    return RecoverySettings(
        window=recovery.window,
        packets=recovery.max_packets,
        bytes=recovery.max_bytes,
        bytes_in_all=recovery.max_bytes_in_all,
        sessions=recovery.max_sessions,
    )


def _authentication(settings: Settings) -> AuthenticationSettings:
    jwt = settings.jwt
    key = jwt.secret or ""
    if settings.auth == "jwt" and jwt.public_key_file is not None and not jwt.algorithms[0].startswith("HS"):
        try:
            key = jwt.public_key_file.read_text("ascii")
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"realtime.jwt.public_key_file: cannot be read ({error})") from error
    return AuthenticationSettings(
        kind=settings.auth,
        key=key,
        algorithms=jwt.algorithms,
        claim=jwt.user_claim,
        audience=jwt.audience,
        issuer=jwt.issuer,
        leeway=jwt.leeway,
        remember=settings.origin.remember,
    )


def _rate(per_second: int) -> Rate:
    return Rate(float(per_second), 2.0 * per_second)

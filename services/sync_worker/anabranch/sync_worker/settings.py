"""The settings of the sync worker: those every service has."""

from __future__ import annotations

from anabranch.config.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """What a sync worker needs to know about its surroundings."""

"""Identifiers, kept apart by type so that a batch id is never passed where a run id belongs.

All of them are 64-bit numbers drawn by PostgreSQL from hi-lo sequences (a block of ids per batch of work, so that
the ids of one batch are contiguous and a message can name a range). `ClaimId` is the exception: a random text drawn
by the worker before it asks for a batch, so that a lost reply does not lose the claim.
"""

from __future__ import annotations

from typing import NewType

ExecutionId = NewType("ExecutionId", int)
RunId = NewType("RunId", int)
BatchId = NewType("BatchId", int)
CsoId = NewType("CsoId", int)
MvoId = NewType("MvoId", int)
ExportId = NewType("ExportId", int)
PackId = NewType("PackId", int)
SystemId = NewType("SystemId", int)
TypeId = NewType("TypeId", int)
"""Of an object type of a system or of a metaverse type: one number space, so that guards can count either."""
ClaimId = NewType("ClaimId", str)
WorkerId = NewType("WorkerId", str)

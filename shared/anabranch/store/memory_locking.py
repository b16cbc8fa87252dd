"""Which rows a batch locks in one process, and which of them have moved since they were read."""

from __future__ import annotations

from collections.abc import Hashable

from anabranch.model.changes import Changes
from anabranch.store.memory_tables import Tables
from anabranch.store.port import Moved

Row = tuple[str, Hashable]


def rows_concerned(tables: Tables, changes: Changes) -> list[Row]:
    """Every row `changes` will write to, in the order in which they are locked: MVOs, CSOs, pending exports, each by
    id, then the keys that must stay unique."""
    gone_mvos, gone_csos, joined = set(changes.gone_mvos), set(changes.gone_csos), set(changes.joined_csos)
    mvos = {*changes.expect_mvos, *(one.id for one in changes.mvos), *(one.id for one in changes.mvo_marks), *gone_mvos}
    mvos |= {key[0] for key, ref in tables.mvo_refs.items() if ref.target_mvo_id in gone_mvos}
    csos = {*changes.expect_csos, *(one.id for one in changes.csos), *(one.cso_id for one in changes.links)}
    csos |= {*changes.obsolete_csos, *changes.gone_csos}
    if gone_csos:
        csos |= {key[0] for key, ref in tables.cso_refs.items() if ref.target in gone_csos}
    if joined:
        referring = {key[0] for key, ref in tables.cso_refs.items() if ref.target in joined}
        csos |= {one for one in referring if tables.csos[one].mvo_id is not None and not tables.csos[one].refs_due}
    if gone_mvos:
        csos |= {cso.id for cso in tables.csos.values() if cso.mvo_id in gone_mvos}
    exports = {
        *changes.expect_exports,
        *changes.gone_exports,
        *changes.sent_exports,
        *(one.id for one in changes.exports if one.version),
    }
    rows: list[Row] = [("mvo", one) for one in sorted(mvos)]
    rows += [("cso", one) for one in sorted(csos)]
    rows += [("export", one) for one in sorted(exports)]
    rows += [("pack", one) for one in sorted({*changes.gone_packs, *changes.unpacked})]
    return rows + _unique_keys(changes)


def _unique_keys(changes: Changes) -> list[Row]:
    anchors = {one.anchor_hash for one in changes.new_csos} | {one.anchor_hash for one in changes.csos}
    joined = {one.mvo_id for one in changes.new_csos} | {one.mvo_id for one in changes.links}
    keys: set[Row] = {("anchor", one) for one in anchors if one is not None}
    keys |= {("joined", one) for one in joined if one is not None}
    keys |= {("export of", one.cso_id) for one in changes.exports if not one.version}
    keys |= {("reservation", (one.name, one.value_hash)) for one in changes.reservations}
    return sorted(keys, key=repr)


def moved(tables: Tables, changes: Changes) -> Moved:
    """What is no longer as it was read, or gone."""
    csos = {one: tables.csos.get(one) for one in changes.expect_csos}
    mvos = {one: tables.mvos.get(one) for one in changes.expect_mvos}
    exports = {one: tables.exports.get(one) for one in changes.expect_exports}
    return Moved(
        frozenset(
            one
            for one, cso in csos.items()
            if cso is None or (cso.change_seq, cso.link_version) != changes.expect_csos[one]
        ),
        frozenset(one for one, mvo in mvos.items() if mvo is None or mvo.change_seq != changes.expect_mvos[one]),
        frozenset(
            one for one, export in exports.items() if export is None or export.version != changes.expect_exports[one]
        ),
        frozenset(one for one in (*changes.gone_packs, *changes.unpacked) if one not in tables.provision_packs),
    )

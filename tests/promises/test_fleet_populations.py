"""What every keeper counts when a run starts, for its guards to measure against."""

from __future__ import annotations

import pytest
from tests.builders import a_link, a_new_cso, a_new_mvo
from tests.promises.fleet_keepers import FleetKeeper, run_through, start, take

from anabranch.model.changes import Changes
from anabranch.model.enums import CsoState, RunKind, WorkerKind
from anabranch.model.identity import SystemId, TypeId
from anabranch.store.port import Store

LATER = 10**6
"""A change number that lies ahead of everything written here: what was synced then is unchanged."""


async def _filled(store: Store) -> tuple[TypeId, TypeId, TypeId]:
    """The spaces hold objects of every kind a population tells apart; the types of hr, of crm and of the metaverse."""
    registry = (await store.revision()).registry
    hr, crm = (registry.object_types[(key, "person")] for key in ("hr", "crm"))
    person = registry.metaverse_types["person"]
    in_hr = {"system_id": SystemId(registry.systems["hr"]), "type_id": hr}
    in_crm = {"system_id": SystemId(registry.systems["crm"]), "type_id": crm}
    changes = Changes(
        new_csos=[
            *(a_new_cso(n, **in_hr) for n in (1, 2, 3)),
            a_new_cso(4, **in_hr, state=CsoState.OBSOLETE),
            a_new_cso(5, **in_hr, state=CsoState.PENDING_PROVISIONING),
            *(a_new_cso(n, **in_crm) for n in (6, 7)),
        ],
        new_mvos=[a_new_mvo(n, type_id=person) for n in (1, 2, 3)],
        links=[
            a_link(1, 1, synced_seq=LATER),
            a_link(2, synced_seq=LATER, failed=True),
            a_link(4, 2, synced_seq=LATER),
            a_link(6, 1, synced_seq=LATER),
        ],
    )
    run = await start(store, "hr-import")
    async with store.unit(await take(store)) as unit:
        await unit.persist(changes)
        await unit.seal()
        await unit.done({})
    await store.close_phase(run, 1, (), None)
    await run_through(store, run, RunKind.FULL_IMPORT, WorkerKind.IMPORT, first=2)
    return hr, crm, person


@pytest.mark.behaviour("GRD-1")
async def test_each_kind_of_run_counts_the_populations_of_its_own_guards(keeper: FleetKeeper, store: Store) -> None:
    hr, crm, person = await _filled(store)
    found = {}
    for profile, kind, worker in (
        ("hr-import", RunKind.FULL_IMPORT, WorkerKind.IMPORT),
        ("hr-sync", RunKind.DELTA_SYNC, WorkerKind.SYNC),
        ("hr-export", RunKind.EXPORT, WorkerKind.EXPORT),
        ("upkeep", RunKind.HOUSEKEEPING, WorkerKind.SYNC),
    ):
        run = await start(store, profile)
        found[profile] = await keeper.populations(run)
        await run_through(store, run, kind, worker)
    assert found == {
        "hr-import": {("import_obsoletions", hr): 3},
        "hr-sync": {
            ("sync_disconnections", hr): 2,
            ("metaverse_deletions", person): 3,
            ("outbound_releases", hr): 2,
            ("outbound_releases", crm): 1,
        },
        "hr-export": {("export_writes", hr): 3},
        "upkeep": {
            ("metaverse_deletions", person): 3,
            ("outbound_releases", hr): 2,
            ("outbound_releases", crm): 1,
        },
    }

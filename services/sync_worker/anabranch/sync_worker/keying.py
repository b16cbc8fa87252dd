"""Look-up keys of attributes by which a new configuration looks for objects that are there already.

Keys are kept for the attributes that some rule matches by or some unique value must not collide with, and written
where values are. A revision that matches by another attribute finds objects without keys for it, and would take every
one of them for a stranger: a person would be projected a second time, and get a second account. So before a run looks
for partners, the keys it looks by are complete. It has the turn of its metaverse types then, and nobody else decides
about them. What is complete stands in `keyed`; keys that no revision keeps any more go, and would have to be completed
again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from anabranch.engine.keys import key_changes
from anabranch.model.changes import Changes
from anabranch.model.identity import TypeId
from anabranch.model.objects import Cso, Mvo
from anabranch.runtime.work import Task, write
from anabranch.store.port import Reader
from anabranch.sync_worker.extent import types_in_turn

_PAGE = 5000
_Object = TypeVar("_Object", Mvo, Cso)


async def complete_keys(task: Task) -> None:
    """Every object of the run's metaverse types has its keys, and of the target types that their unique values ask."""
    mvo_types, cso_types = _wanted(task)
    async with task.store.reader() as reader:
        keyed = await reader.keyed()
    wanted = {(type_id, attr) for some in (mvo_types, cso_types) for type_id, attrs in some.items() for attr in attrs}
    missing = sorted(wanted - keyed)
    idle = sorted(one for one in keyed - wanted if one[0] in mvo_types or one[0] in cso_types)
    if not missing and not idle:
        return
    await _commit(task, Changes(unkeyed=[*missing, *idle]))
    for type_id in sorted({type_id for type_id, _ in missing}):
        attrs = frozenset(attr for of, attr in missing if of == type_id)
        if type_id in mvo_types:
            await _complete(task, partial(_mvos_after, type_id), partial(_keys_of_mvos, attrs))
        else:
            await _complete(task, partial(_csos_after, type_id), partial(_keys_of_csos, attrs))
    await _commit(task, Changes(keyed=missing))


def _wanted(task: Task) -> tuple[dict[TypeId, frozenset[str]], dict[TypeId, frozenset[str]]]:
    """The attributes that are looked by, of the run's metaverse types and of all types with unique values."""
    compiled = task.compiled
    return {one: compiled.metaverse[one].key_attrs for one in types_in_turn(task)}, dict(compiled.cso_key_attrs)


async def _mvos_after(type_id: TypeId, after: int, reader: Reader) -> list[Mvo]:
    return await reader.page_of_mvos(type_id, after, _PAGE)


async def _csos_after(type_id: TypeId, after: int, reader: Reader) -> list[Cso]:
    return await reader.page_of_csos(type_id, after, _PAGE)


def _keys_of_mvos(attrs: frozenset[str], page: Sequence[Mvo]) -> Changes:
    changes = Changes()
    for mvo in page:
        changes.expect_mvos[mvo.id] = mvo.change_seq
        changes.match_keys += key_changes(mvo.type_id, attrs, mvo.id, {}, mvo.doc)
    return changes


def _keys_of_csos(attrs: frozenset[str], page: Sequence[Cso]) -> Changes:
    changes = Changes()
    for cso in page:
        changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
        changes.cso_keys += key_changes(cso.type_id, attrs, cso.id, {}, cso.doc)
    return changes


async def _complete(
    task: Task,
    page_after: Callable[[int, Reader], Awaitable[list[_Object]]],
    decide: Callable[[list[_Object]], Changes],
) -> None:
    """The keys of all objects, a page a commit."""
    last = 0
    while True:
        load = partial(page_after, last)
        async with task.store.reader() as reader:
            page = await load(reader)
        if not page:
            return
        task.hold.progress()
        async with task.store.unit(task.claimed) as unit:
            await write(unit, load, decide, decide(page))
            await unit.advance({"keyed_to": page[-1].id}, {})
        last = page[-1].id


async def _commit(task: Task, changes: Changes) -> None:
    async with task.store.unit(task.claimed) as unit:
        await unit.persist(changes)
        await unit.advance({}, {})

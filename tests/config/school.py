"""A small school as a configuration: one source, one target, everything else by default."""

from __future__ import annotations

from collections.abc import Callable

from anabranch.model.configuration import Configuration

Load = Callable[..., Configuration]
Faults = Callable[..., list[str]]

SCHOOL = """\
metaverse:
  pupil:
    attributes:
      number: {type: text}
      name: {type: text}
      login: {type: text, case-sensitive: false}
      tutor: {type: reference, to: [pupil]}
      born: {type: datetime}
      year: {type: integer}
      clubs: {type: text, multi-valued: true, multi-value-policy: union}
    deletion: {rule: when-authoritative-source-disconnected, systems: [register], grace: 14d}
    guards: {metaverse-deletions: {max-percent: 5}}
systems:
  register:
    connector: csv
    label: The school register
    options: {directory: data, password: "${env:REGISTER_PASSWORD}"}
    assume-time-zone: Europe/Berlin
    guards: {import-obsoletions: {max-percent: 10, max-count: 50}, export_writes: {creates: true}}
    object-types:
      pupil:
        source: {file: pupils.csv}
        anchor: no
        attributes:
          no: {type: text}
          first: {type: text}
          last: {type: text}
          born: {type: datetime}
          year: {type: integer}
          tutor: {type: reference, to: [pupil]}
          clubs: {type: text, multi-valued: true}
  directory:
    connector: ldif
    options: {path: out.ldif}
    object-types:
      account:
        anchor: uid
        secondary: dn
        attributes:
          uid: {type: text, case-sensitive: false}
          dn: {type: text}
          cn: {type: text}
          created: {type: datetime, writability: read-only}
          number: {type: decimal}
          tutor: {type: reference, to: [account]}
rules:
  pupil-in:
    direction: inbound
    system: register
    object-type: pupil
    metaverse-type: pupil
    order: 10
    project: true
    time-zone: Europe/Berlin
    scope:
      all:
        - {attribute: year, operator: greater-than, value: 4}
        - {not: {attribute: last, operator: starts_with, value: X, ignore-case: true}}
        - any:
            - {attribute: born, operator: not-less-than, value: {ago: 20, unit: years}}
            - {attribute: clubs, operator: in, value: [chess, "NO"]}
            - {attribute: born, operator: not-present}
        - {expression: 'cs["first"] != cs["last"]'}
    match:
      - conditions: [{from: {attribute: no}, equals: number}]
      - conditions:
          - {from: {attribute: last}, equals: name, ignore-case: true}
          - {from: {attribute: born}, equals: born}
    mappings:
      number: {to: number, from: {attribute: no}, priority: 1}
      name: {to: name, from: {expression: 'join_text([cs["first"], cs["last"]], " ")'}, text-cleanup: [trim, title]}
      login: {to: login, from: {expression: 'unique_value("login", numbered(lower(mv["name"]), 2, 50))'}}
      tutor: {to: tutor, from: {attribute: tutor}, when-missing: no-value}
      born: {to: born, from: {attribute: born}}
      year: {to: year, from: {attribute: year}, on-error: fail_mapping, null-is-value: true}
      clubs: {to: clubs, from: {attribute: clubs}}
  account-out:
    direction: outbound
    system: directory
    object-type: account
    metaverse-type: pupil
    provision: true
    mappings:
      uid: {to: uid, from: {attribute: login}}
      cn: {to: cn, from: {attribute: name}, on-null: keep}
      dn: {to: dn, from: {expression: '"uid=" + escape_dn(mv["login"]) + ",ou=" + lookup("houses", "a", "none")'}}
      number: {to: number, from: {attribute: year}, initial-only: true}
unique-values: {login: {metaverse: pupil.login, targets: [directory.account.uid], max-candidates: 20, reuse-after: 30d}}
lookups:
  houses: {a: 0123, b: NO, "c": 1.50}
run-profiles:
  register-full: {kind: full-import, system: register, page-size: 500, deadline: 2h}
  register-sync: {kind: DS, system: register}
  directory-export: {kind: export, system: directory}
  tidy: {kind: housekeeping}
executions:
  night: {groups: [[register-full], [register-sync, tidy], [directory-export]], continue-on-failure: true}
"""

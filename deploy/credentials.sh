#!/bin/sh
# Draws the passwords of PostgreSQL and Redis, once: the files below the directory given are there afterwards, and ones
# that were there already are kept. Each server has a directory of its own, so that it can be shown that one alone.
#
#   password   what the server asks for
#   url        the same in an address, as the settings of the fleet take it
set -eu
directory=$1

draw() { # draw NAME SCHEME USER HOST PATH
    [ ! -s "$directory/$1/url" ] || return 0
    password=$(python -c 'import secrets; print(secrets.token_urlsafe(24))')
    printf '%s' "$password" >"$directory/$1/password"
    # The address comes last: where it is, the password is too.
    printf '%s://%s:%s@%s/%s' "$2" "$3" "$password" "$4" "$5" >"$directory/$1/url.new"
    # Readable for all: the server runs under another number than the fleet, and nobody else is shown the directory.
    chmod 0444 "$directory/$1/password" "$directory/$1/url.new"
    mv "$directory/$1/url.new" "$directory/$1/url"
}

draw database postgresql anabranch postgres:5432 anabranch
draw redis redis '' redis:6379 0

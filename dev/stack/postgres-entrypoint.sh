#!/bin/sh
# What docker-compose.yml relies on of the official image's entrypoint: a cluster on first start, with POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB.
set -eu
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
  initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 > /dev/null
  rm /tmp/password
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  echo "create database \"$POSTGRES_DB\"" | postgres --single -j -D "$PGDATA" postgres > /dev/null
fi
# Its socket is in /tmp: Podman 4.3 closes a tmpfs in /run to all but root.
exec "$@" -c listen_addresses='*' -c unix_socket_directories=/tmp

#!/bin/sh
# How compose starts Prometheus: start.sh FILE PROGRAM [argument...]. Its own file takes no variables, so the addresses that clients call, by DOMAIN
# of .env (profile edge), are written to FILE.
set -eu
file=$1
shift
if [ -n "${DOMAIN:-}" ]; then echo "[{\"targets\": [\"$DOMAIN:443\", \"livekit.$DOMAIN:443\", \"turn.$DOMAIN:443\"]}]" > "$file"; fi
exec "$@"

#!/bin/sh
# Writes the .env of a new deployment: sh deploy/env.sh calls.example.com > .env
# The name, livekit.<name> and turn.<name> lead to this machine already. Every secret is made here, anew each time.
set -eu
domain=${1:?the domain name of this machine, for instance calls.example.com}
# Not by the name itself: a machine that is called so has it in /etc/hosts, as 127.0.1.1.
address=${2:-$(getent ahostsv4 "livekit.$domain" | awk '{ print $1; exit }')}
: "${address:?livekit.$domain leads nowhere yet: name the address of this machine as the second argument}"
case $address in
  127.*) echo "$address is no address that clients reach: name that of this machine as the second argument" >&2; exit 1 ;;
esac
for name in "$domain" "livekit.$domain" "turn.$domain"; do
  # An address of IPv4 is told here as ::ffff:...
  if getent ahostsv6 "$name" | grep -qv '^::ffff:'; then echo "$name has an AAAA record: remove it (docs/deployment.md)" >&2; fi
done
secret () { openssl rand -hex "${1:-32}"; }
cat <<EOF
COMPOSE_PROFILES=edge
DOMAIN=$domain
LIVEKIT_NODE_IP=$address
LIVEKIT_API_KEY=API$(secret 6)
LIVEKIT_API_SECRET=$(secret)
POSTGRES_PASSWORD=$(secret 24)
# How your app signs its users' tokens (HS256); or JWT_JWKS_URL, JWT_ISSUER and JWT_AUDIENCE instead.
JWT_SECRET=$(secret)
# For the voice agent: COMPOSE_PROFILES=edge,agents, and a server of OpenAI's chat completions.
STT_API_KEY=$(secret)
TTS_API_KEY=$(secret)
LLM_BASE_URL=
LLM_API_KEY=
LLM_MODEL=
EOF

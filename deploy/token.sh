#!/bin/sh
# Prints a user's token for trials, good for an hour, signed where JWT_SECRET is, in the running service: sh deploy/token.sh alice
set -eu
user=${1:?who, for instance alice}
# shellcheck disable=SC2016,SC2086
exec ${COMPOSE:-docker compose} exec -T service node --input-type=module -e '
  import { createHmac } from "node:crypto"
  const [sub] = process.argv.slice(1)
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url")
  const now = Math.floor(Date.now() / 1000)
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ sub, email: `${sub}@example.com`, iat: now, exp: now + 3600 })}`
  console.log(`${signed}.${createHmac("sha256", process.env.JWT_SECRET).update(signed).digest("base64url")}`)
' "$user"

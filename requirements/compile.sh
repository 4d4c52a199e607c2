#!/usr/bin/env bash
# Pins and hashes every requirement. The output names packages and hashes only, never an address.
set -euo pipefail
cd "$(dirname "$0")"
for name in uv base dev; do
  "${UV:-../.venv/bin/uv}" pip compile --quiet --generate-hashes --universal -p 3.11 \
    --no-emit-index-url --custom-compile-command "requirements/compile.sh" "$name.in" -o "$name.txt"
done
"${UV:-../.venv/bin/uv}" pip compile --quiet --generate-hashes --universal -p 3.11 --no-emit-index-url \
  --custom-compile-command "requirements/compile.sh" broker-tools.in -o ../streams/broker-requirements.txt

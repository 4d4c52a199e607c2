#!/bin/sh
# Begins a command in the image, whose file system is read-only: numba asks to write beside the kernels that it reads, so
# they go to memory first (5 MB).
set -eu
kernels="${TMPDIR:-/tmp}/kernels"
if [ ! -d "$kernels" ]; then
  cp -R "${OFFSITE_KERNELS:-/opt/offsite/kernels}" "$kernels.new"
  mv "$kernels.new" "$kernels"
fi
export NUMBA_CACHE_DIR="$kernels"
# A stable name of its own for each replica of the worker; a restart of the container keeps it.
export OFFSITE_WORKER_INSTANCE="${OFFSITE_WORKER_INSTANCE:-$(uname -n)}"
exec offsite "$@"

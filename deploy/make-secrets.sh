#!/usr/bin/env bash
# Makes deploy/secrets: random passwords, Kafka's cluster id, a self-signed certificate. What is there is kept.
# Usage: deploy/make-secrets.sh [host name of the certificate, localhost if not given]
set -euo pipefail
folder="${OFFSITE_SECRETS:-$(dirname "$0")/secrets}"
name="${1:-localhost}"
[[ "$name" =~ ^[A-Za-z0-9.-]{1,253}$ ]] || { echo "make-secrets: '$name' is no host name" >&2; exit 2; }
command -v openssl >/dev/null || { echo "make-secrets: openssl is missing; install it, then run this again" >&2; exit 4; }

# Only the owner enters the folder. The files are readable: a container's user has another number than the owner, and sees
# nothing but the files that docker-compose.yml gives to it.
mkdir -p "$folder"
chmod 700 "$folder"

keep() { # FILE < content: a file that appears whole, or not at all
  local file="$folder/$1"
  if [[ -e "$file" ]]; then
    cat >/dev/null
    echo "kept    $1"
  else
    cat >"$file.new"
    [[ -s "$file.new" ]] || { rm -f "$file.new"; echo "make-secrets: nothing came for $1" >&2; exit 1; }
    chmod 444 "$file.new"
    mv "$file.new" "$file"
    echo "made    $1"
  fi
}

random() { head -c "$1" /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }

for secret in kafka_broker kafka_admin kafka_gateway kafka_worker kafka_desk kafka_archiver kafka_publisher postgres store grafana_admin; do
  random 32 | keep "${secret}_password"
done

id="$(random 16)"
while [[ "$id" == -* ]]; do id="$(random 16)"; done # Kafka takes it as an option else
printf '%s' "$id" | keep kafka_cluster_id

if [[ -e "$folder/tls_key" && -e "$folder/tls_certificate" ]]; then
  echo "kept    tls_key, tls_certificate"
elif [[ -e "$folder/tls_key" || -e "$folder/tls_certificate" ]]; then
  echo "make-secrets: of tls_key and tls_certificate only one is in $folder; add the other, or move this one away" >&2
  exit 3
else
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=$name" \
    -addext "subjectAltName=DNS:$name,DNS:localhost,IP:127.0.0.1" \
    -keyout "$work/key" -out "$work/certificate" 2>/dev/null
  keep tls_key <"$work/key"
  keep tls_certificate <"$work/certificate"
  echo "the certificate is self-signed; put one of your own authority into $folder/tls_certificate and tls_key"
fi

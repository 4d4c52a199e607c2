#!/usr/bin/env bash
# Starts one Kafka node that is broker and controller. The image's own script writes into folders that are read-only here;
# this one needs a data folder and a small place in memory, and takes every password from a file.
set -euo pipefail
umask 077
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
node="${KAFKA_NODE:-1}"
host="${KAFKA_HOST:-kafka-1}"
bind="${KAFKA_BIND:-0.0.0.0}"
client_port="${KAFKA_CLIENT_PORT:-9092}"
broker_port="${KAFKA_BROKER_PORT:-9093}"
controller_port="${KAFKA_CONTROLLER_PORT:-9094}"
voters="${KAFKA_VOTERS:-$node@$host:$controller_port}"
replication="${KAFKA_REPLICATION:-1}"
partitions="${KAFKA_INTERNAL_PARTITIONS:-50}"
data="${KAFKA_DATA:-/var/lib/kafka/data}"
secrets="${KAFKA_SECRETS:-/run/secrets}"
libraries="${KAFKA_LIBS:-/opt/kafka/libs}"
run="${KAFKA_RUN:-/run/kafka}"
java="${KAFKA_JAVA:-java}"

fail() { echo "start.sh: $1" >&2; exit 4; }

secret() { # NAME: its content goes into a configuration file, so nothing is taken that would mean something there
  local value
  [[ -r "$secrets/$1" ]] || fail "$secrets/$1 cannot be read; run deploy/make-secrets.sh"
  value="$(<"$secrets/$1")"
  [[ "$value" =~ ^[A-Za-z0-9_-]{22,100}$ ]] || fail "$secrets/$1 is not of the form that deploy/make-secrets.sh gives"
  printf '%s' "$value"
}

[[ "$replication" =~ ^[1-9]$ ]] || fail "KAFKA_REPLICATION is '$replication', not a number from 1 to 9"
broker="$(secret kafka_broker_password)"
admin="$(secret kafka_admin_password)"
cluster="$(secret kafka_cluster_id)"
# With three copies a record is acked once two brokers hold it: one may go away.
in_sync=$((replication > 1 ? replication - 1 : 1))
plain="org.apache.kafka.common.security.plain.PlainLoginModule required username=\"broker\" password=\"$broker\""

mkdir -p "$run"
{
  cat "$here/server.properties"
  cat <<END
node.id=$node
controller.quorum.voters=$voters
listeners=CLIENT://$bind:$client_port,BROKER://$bind:$broker_port,CONTROLLER://$bind:$controller_port
advertised.listeners=CLIENT://$host:$client_port,BROKER://$host:$broker_port
log.dirs=$data
default.replication.factor=$replication
min.insync.replicas=$in_sync
offsets.topic.replication.factor=$replication
offsets.topic.num.partitions=$partitions
transaction.state.log.replication.factor=$replication
transaction.state.log.num.partitions=$partitions
transaction.state.log.min.isr=$in_sync
share.coordinator.state.topic.replication.factor=$replication
share.coordinator.state.topic.min.isr=$in_sync
listener.name.broker.plain.sasl.jaas.config=$plain user_broker="$broker" user_admin="$admin";
listener.name.controller.plain.sasl.jaas.config=$plain user_broker="$broker";
END
} >"$run/server.properties"

options=(-cp "$libraries/*" "-Dlog4j2.configurationFile=$here/log4j2.properties")
if [[ ! -f "$data/meta.properties" ]]; then
  "$java" -Xmx256m "${options[@]}" kafka.tools.StorageTool format --cluster-id "$cluster" --config "$run/server.properties"
fi
heap="${KAFKA_HEAP_MB:-1024}"
exec "$java" "-Xms${heap}m" "-Xmx${heap}m" -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:+ExitOnOutOfMemoryError \
  -Djava.awt.headless=true "${options[@]}" kafka.Kafka "$run/server.properties"

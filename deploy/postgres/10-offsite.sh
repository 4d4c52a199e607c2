#!/bin/bash
# Run once by the image on an empty data folder, as the superuser: a role for the product that may do nothing but own its
# database. The password goes through standard input, not through the arguments, which every process could read.
set -euo pipefail
password="$(<"${STORE_PASSWORD_FILE:-/run/secrets/store_password}")"
[[ "$password" =~ ^[A-Za-z0-9_-]{24,100}$ ]] || { echo "store_password is not of the form that deploy/make-secrets.sh gives" >&2; exit 1; }
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<SQL
CREATE ROLE offsite LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD '$password';
CREATE DATABASE offsite OWNER offsite ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE offsite FROM PUBLIC;
SQL

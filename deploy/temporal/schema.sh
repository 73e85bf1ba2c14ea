#!/bin/sh
# schema.sh creates Temporal's two databases, or updates them to the version of this image. It also creates an empty
# database for the ledger, where Khronicle creates its tables. It may run again at any time.
set -eu

sql() {
  temporal-sql-tool --plugin "$DB" --endpoint "$POSTGRES_SEEDS" --port "${DB_PORT:-5432}" \
    --user "$POSTGRES_USER" --password "$POSTGRES_PWD" "$@"
}

for store in temporal visibility; do
  case $store in
    temporal) database=${DBNAME:-temporal} ;;
    visibility) database=${VISIBILITY_DBNAME:-temporal_visibility} ;;
  esac
  sql --database "$database" create-database
  sql --database "$database" setup-schema --version 0.0
  sql --database "$database" update-schema --schema-name "postgresql/v12/$store"
done
sql --database "${LEDGER_DBNAME:-khronicle}" create-database

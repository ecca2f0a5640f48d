# Starts a database server that is there for one chart's life: nothing in it survives, so nothing waits for a disk.
# From the pod: HOST (its Service), APPLICATION_PASSWORD, CONTROLLERS_PASSWORD, LISTEN (hostssl, or host).
set -eu
export PGDATA=/var/lib/postgresql/data
cd /tmp
# An image of ours has its data directory already.
[ -s "$PGDATA/PG_VERSION" ] || initdb --encoding=UTF8 --locale=C.UTF-8 --no-sync --username=postgres >/dev/null
printf 'local all all trust\n%s all all all scram-sha-256\n' "$LISTEN" >"$PGDATA/pg_hba.conf"
# The key is made here and never leaves; the certificate is its own authority.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$HOST" \
  -addext "subjectAltName=DNS:$HOST" -keyout server.key -out server.crt 2>/dev/null
chmod 600 server.key
single() { postgres --single -c fsync=off -c log_checkpoints=off "$1" >/dev/null; }
# One command a line. Who holds only `controllers` may change what is in a table, and no table. What is changed from
# within a DO block or a function is in no log of statements: a trigger adds it.
single postgres <<SQL
CREATE ROLE application LOGIN PASSWORD '$APPLICATION_PASSWORD'
CREATE ROLE controllers LOGIN PASSWORD '$CONTROLLERS_PASSWORD'
CREATE DATABASE application OWNER application
REVOKE TEMPORARY ON DATABASE application FROM PUBLIC
SQL
single application <<SQL
ALTER SCHEMA public OWNER TO application
REVOKE CREATE ON SCHEMA public FROM PUBLIC
GRANT USAGE ON SCHEMA public TO controllers
ALTER DEFAULT PRIVILEGES FOR ROLE application GRANT USAGE ON SCHEMAS TO controllers
ALTER DEFAULT PRIVILEGES FOR ROLE application GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO controllers
ALTER DEFAULT PRIVILEGES FOR ROLE application GRANT USAGE, SELECT ON SEQUENCES TO controllers
CREATE SCHEMA conformance
CREATE FUNCTION conformance.note() RETURNS event_trigger LANGUAGE plpgsql AS \$\$ BEGIN \
  IF session_user <> 'postgres' AND ltrim(current_query()) NOT ILIKE split_part(tg_tag, ' ', 1) || '%' THEN \
    RAISE LOG 'statement: % within: %', tg_tag, current_query(); \
  END IF; END \$\$
CREATE EVENT TRIGGER conformance_note ON ddl_command_end EXECUTE FUNCTION conformance.note()
SQL
# The ledger is read from this log: every attempt to change the schema, by whom and from where.
exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp \
  -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=32MB -c jit=off \
  -c ssl=on -c ssl_cert_file=/tmp/server.crt -c ssl_key_file=/tmp/server.key \
  -c log_timezone=UTC -c log_checkpoints=off -c log_statement=ddl -c log_line_prefix='%n|%p|%h|%u|%d|%a|'

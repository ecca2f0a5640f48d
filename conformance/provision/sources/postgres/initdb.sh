#!/bin/sh
# Makes the tree of Debian's packages (its folder is the first argument) a database server's: a user of the number
# that the official image has, the programs at one place whatever their version, and a data directory.
set -eu
root=$1
mkdir -p "$root/usr/local"
ln -s "/$(cd "$root" && echo usr/lib/postgresql/*/bin)" "$root/usr/local/postgresql"
echo 'postgres:x:999:999::/var/lib/postgresql:/bin/sh' >"$root/etc/passwd"
echo 'postgres:x:999:' >"$root/etc/group"
chmod 1777 "$root/tmp"
mkdir -p "$root/var/lib/postgresql/data"
chown -R 999:999 "$root/var/lib/postgresql"
# Nothing here has to survive a power cut.
chroot --userspec=999:999 "$root" /usr/local/postgresql/initdb --pgdata=/var/lib/postgresql/data --username=postgres \
  --encoding=UTF8 --locale=C.UTF-8 --wal-segsize=1 --no-sync --no-instructions

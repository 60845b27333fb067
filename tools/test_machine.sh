#!/bin/sh
# Install what some tests need of the machine, where it is missing and this user may: as root, by apt-get.
# Without it those tests are skipped and say so, so nothing here ever fails.
set -u
wanted=""
for pair in softhsm2-util:softhsm2 pebble:pebble testssl:testssl.sh chromium:chromium; do
  command -v "${pair%%:*}" >/dev/null || wanted="$wanted ${pair#*:}"
done
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || wanted="$wanted postgresql"
[ -n "$wanted" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
# The tests start a PostgreSQL of their own: its package is not to make one of the machine's.
clusters=/etc/postgresql-common/createcluster.d
tidy_up() {
  rm -f "$log" "$clusters/tallystick-tests.conf"
  rmdir -p "$clusters" 2>/dev/null || true
}
trap tidy_up EXIT
trap 'exit 1' INT TERM
mkdir -p "$clusters" && echo "create_main_cluster = false" >"$clusters/tallystick-tests.conf"
# One package that cannot be had does not keep the others away.
apt-get update -qq >"$log" 2>&1
for package in $wanted; do
  apt-get install -qq -y --no-install-recommends "$package" >>"$log" 2>&1 ||
    echo "$package cannot be installed here: the tests that need it are skipped"
done

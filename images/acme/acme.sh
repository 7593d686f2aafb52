#!/bin/sh
# acme.sh for this stack, first on the PATH: the right home, server and roots, one run at a time,
# and a way on when the CA has forgotten the account. certd and people both come through here.
set -eu
umask 077

conf=${CERTD_RUNTIME:-/run/certd}/acme.conf
if [ ! -r "$conf" ]; then
  echo "acme.sh: certd has not said yet which CA to use ($conf is missing); its log tells why." >&2
  exit 1
fi
home='' server='' ca_bundle='' http_port='' dns_token='' dns_zones='' dns_roots='' dns_notes=''
# shellcheck source=/dev/null
. "$conf"

export HOME="$home" LE_WORKING_DIR="$home" LE_CONFIG_HOME="$home"
# Beside this file: stand-ins for commands that acme.sh calls in a way that cannot work.
PATH=/usr/local/lib/vectis/acme-path:$PATH
mkdir -p "$home"

# acme.sh's own default CA is another one, and --renew turns a staging directory into production without --server.
given=no
for argument; do
  case $argument in --server | --server=*) given=yes ;; esac
done
[ "$given" = yes ] || set -- "$@" --server "$server"
[ -z "$ca_bundle" ] || set -- "$@" --ca-bundle "$ca_bundle"

# acme.sh inherits the lock: it stays until the last writer has ended, even if this script is killed.
exec 9>"$home/.lock"
if ! flock -n 9; then
  echo "acme.sh: another order is running (certd or a person); waiting for it to end."
  flock 9
fi

# A responder that outlived a killed run would keep the port; with the lock held, none is in use.
for process in /proc/[0-9]*; do
  { line=$(tr '\0' ' ' <"$process/cmdline"); } 2>/dev/null || continue
  case $line in
    *socat*"TCP-LISTEN:$http_port,"*) kill -9 "${process#/proc/}" 2>/dev/null || : ;;
  esac
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM INT HUP
# For the hook dns_vectis, which reads the token itself.
export DNS_TOKEN="$dns_token" DNS_ZONES="$dns_zones" DNS_ROOTS="$dns_roots" DNS_NOTES="$dns_notes"
export DNS_WORK="$work" DNS_CERTD=/usr/local/lib/vectis/certd.mjs

run() {
  # Through a pipe, so that output appears as it comes; the exit code travels beside it. With -p an order outlives its
  # reader: it would be lost at the CA, and placed once more, if it ended with certd or with a person's connection.
  { /usr/bin/acme.sh "$@" 2>&1 || echo $? >"$work/code"; } | tee -p "$work/output"
  code=0
  [ ! -e "$work/code" ] || read -r code <"$work/code"
  rm -f "$work/code"
}

run "$@"
if [ "$code" -ne 0 ] && grep -q accountDoesNotExist "$work/output"; then
  echo "acme.sh: the CA has forgotten the account; registering it again with the same key, then once more."
  run --register-account --server "$server" ${ca_bundle:+--ca-bundle "$ca_bundle"}
  [ "$code" -ne 0 ] || run "$@"
fi
exit "$code"

# shellcheck shell=sh
# What every certificate follower shares: notice that `current` was switched, check the pair, make the daemon take it,
# prove by handshake that it is served, and try again until it is. Sourced by a daemon's own `follower`, which defines
#   take_up       asks the daemon to use the current generation, as gently as it can
#   take_up_hard  the fallback when a handshake still shows the old certificate
# and ends in
#   follow DAEMON PORT[/STARTTLS-PROTOCOL]…   the daemon's name for the log, its TLS ports on 127.0.0.1
# The certificate contract is described in docs/certificates.md.

certs=/etc/ssl/mail
state=/run/follower
poll=0.2           # seconds between two looks at `current`; a look costs about 1 ms of CPU
recheck=150        # looks between two handshakes while nothing changes (30 s and a little)
mkdir -p "$state"

log() { echo "follower: $*"; }

fingerprint() { openssl x509 -noout -fingerprint -sha256 2>/dev/null; }

# served PORT[/PROTOCOL]: fingerprint of the leaf that the daemon serves there; empty when it serves none.
served() {
  set -- "${1%%/*}" "${1#*/}"
  if [ "$1" = "$2" ]; then
    timeout 5 openssl s_client -connect "127.0.0.1:$1" </dev/null 2>/dev/null | fingerprint
  else
    timeout 5 openssl s_client -connect "127.0.0.1:$1" -starttls "$2" </dev/null 2>/dev/null | fingerprint
  fi
}

# usable GENERATION: says why not, when not. -checkend is asked for its own exit status: behind a pipe it would be lost.
usable() {
  openssl x509 -noout -checkend 0 -in "$1/fullchain.pem" >/dev/null 2>&1 || { echo "expired or unreadable certificate"; return 1; }
  leaf=$(openssl x509 -noout -pubkey -in "$1/fullchain.pem" 2>/dev/null) || { echo "unreadable certificate"; return 1; }
  key=$(openssl pkey -pubout -in "$1/privkey.pem" 2>/dev/null) || { echo "unreadable key"; return 1; }
  [ "$leaf" = "$key" ] || { echo "the key does not belong to the certificate"; return 1; }
  [ "$(fingerprint <"$1/fullchain.pem")" = "$(fingerprint <"$1/keychain.pem")" ] || { echo "keychain.pem holds another certificate"; return 1; }
}

# superseded GENERATION: whether `current` has moved on; what is left to do is then another generation's.
superseded() { [ "$(readlink "$certs/current")" != "$1" ]; }

# missing GENERATION: the ports that do not serve it.
missing() {
  want=$(fingerprint <"$certs/$1/fullchain.pem")
  for port in $ports; do
    [ "$(served "$port")" = "$want" ] || printf ' %s' "${port%%/*}"
  done
}

# await GENERATION TRIES: looks again, up to TRIES times, until every port serves it; leaves the rest in `left`.
await() {
  tries=$2
  while left=$(missing "$1") && [ -n "$left" ]; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    superseded "$1" && return 1
    sleep 0.1
  done
}

# report WORD GENERATION: what the healthcheck reads; replaced whole.
report() {
  printf '%s %s\n' "$1" "$2" >"$state/status.new"
  mv "$state/status.new" "$state/status"
}

# adopt GENERATION: 0 when every port serves it.
adopt() {
  if ! why=$(usable "$certs/$1"); then
    log "$1 refused, $daemon keeps what it serves: $why"
    return 1
  fi
  # A daemon that served another generation a moment ago certainly needs this; any other may serve it already.
  if [ -z "$taken" ] || [ "$1" = "$taken" ]; then
    await "$1" 1 && return 0
  fi
  take_up
  await "$1" 10 && return 0
  superseded "$1" && return 1
  log "$1 is not served yet on$left, asking $daemon again with a reload"
  take_up_hard
  await "$1" 50 && return 0
  superseded "$1" && return 1
  log "$1 is still not served on$left; next try follows"
  return 1
}

follow() {
  daemon=$1
  shift
  ports=$*
  taken=
  looks=0
  pause=1
  trap 'exit 0' TERM
  # A daemon that still starts serves nothing yet; a reload now would race with its start.
  tries=100
  until [ -n "$(served "$1")" ] || [ "$tries" -eq 0 ]; do
    tries=$((tries - 1))
    sleep 0.1
  done
  while :; do
    now=$(readlink "$certs/current") || now=
    if [ -z "$now" ]; then
      report waiting none
    elif [ "$now" != "$taken" ] || [ "$looks" -ge "$recheck" ]; then
      looks=0
      if adopt "$now"; then
        [ "$now" = "$taken" ] || log "$daemon serves $now on every port"
        taken=$now
        pause=1
        report serving "$now"
      elif superseded "$now"; then
        taken=
      else
        taken=
        report failing "$now"
        sleep "$pause"
        [ "$pause" -ge 30 ] || pause=$((pause * 2))
      fi
    fi
    looks=$((looks + 1))
    sleep "$poll"
  done
}

# shellcheck shell=sh
# What every certificate follower shares: notice that `current` was switched, take a copy and check it, make the daemon
# take that up, prove by handshake that it is served, and try again until it is. The daemon reads the copy alone, so what
# happens to the volume later cannot hurt it. Sourced by an entrypoint, which calls
#   first_copy    before the daemon starts
# and by a daemon's own `follower`, which defines
#   take_up       asks the daemon to use the copy, as gently as it can
#   take_up_hard  the fallback when a handshake still shows the old certificate
# and ends in
#   follow DAEMON PORT[/STARTTLS-PROTOCOL]…   the daemon's name for the log, its TLS ports on 127.0.0.1
# The certificate contract is described in docs/certificates.md.

certs=/etc/ssl/mail
own=/run/vectis
copy=$own/certs    # what the daemon reads: a link, switched by one rename
state=/run/follower
recheck=30         # seconds between two handshakes while nothing changes

log() { echo "follower: $*"; }

# ssl …: openssl without the system's roots. Nothing here needs them, and reading them takes most of its time.
ssl() { SSL_CERT_FILE=/dev/null SSL_CERT_DIR=/dev/null timeout 5 openssl "$@" 2>/dev/null; }

# hold GENERATION [even-expired]: makes `copy` a copy of it if that is whole, and says in `why` when it is not.
# What is checked is the copy: the volume may change at any moment.
hold() {
  next=$(mktemp -d "$copy.XXXXXX") # mode 0700
  if ! checked "$@"; then
    rm -rf "$next"
    return 1
  fi
  ln -s "${next##*/}" "$next.link"
  mv -T "$next.link" "$copy"
}

checked() {
  why='a file is missing or cannot be copied'
  cp "$certs/$1/fullchain.pem" "$certs/$1/privkey.pem" "$certs/$1/keychain.pem" "$next/" 2>/dev/null || return 1
  second=
  if [ -e "$certs/$1/fullchain-rsa.pem" ] || [ -e "$certs/$1/privkey-rsa.pem" ]; then
    second=-rsa
    cp "$certs/$1/fullchain-rsa.pem" "$certs/$1/privkey-rsa.pem" "$next/" 2>/dev/null || return 1
  fi
  belongs '' || return 1
  [ "$expired" -eq 0 ] || [ "${2:-}" = even-expired ] || { why='expired certificate'; return 1; }
  # An RSA certificate that has expired does not keep the other one from anybody.
  [ -z "$second" ] || belongs -rsa || { why="RSA: $why"; return 1; }
  cat "$next/privkey.pem" "$next/fullchain.pem" ${second:+"$next/privkey-rsa.pem" "$next/fullchain-rsa.pem"} |
    cmp -s - "$next/keychain.pem" || { why='keychain.pem is not key and chain'; return 1; }
  # Without an RSA certificate its name leads to the other one: Dovecot's configuration may name it before it is there.
  [ -n "$second" ] || { ln "$next/fullchain.pem" "$next/fullchain-rsa.pem" && ln "$next/privkey.pem" "$next/privkey-rsa.pem"; }
}

# belongs SUFFIX: whether that key and certificate are a pair; sets `expired` to 0 if it is valid for now.
belongs() {
  facts=$(ssl x509 -noout -pubkey -checkend 0 -in "$next/fullchain$1.pem")
  expired=$?
  [ -n "$facts" ] || { why='unreadable certificate'; return 1; }
  key=$(ssl pkey -pubout -in "$next/privkey$1.pem") || { why='unreadable key'; return 1; }
  case $facts in *"$key"*) ;; *) why='the key does not belong to the certificate'; return 1 ;; esac
}

# tidy: removes the copies before the last one, and what a follower that was killed left behind.
tidy() {
  for old in "$copy".*; do
    [ "$old" = "$own/$(readlink "$copy")" ] || rm -rf "$old"
  done
}

# first_copy DAEMON: waits for a whole generation, the current one if it can be. An expired one is better than none.
first_copy() {
  mkdir -p "$own"
  told=
  while :; do
    for generation in "$(readlink "$certs/current")" $(cd "$certs" && ls -rd generations/[0-9]* 2>/dev/null); do
      hold "$generation" even-expired && return
    done
    [ "$told" ] || { echo "$1: waiting for the first certificate in $certs"; told=1; }
    sleep 0.1
  done
}

# served PORT[/PROTOCOL] [OPTION…]: what the daemon shows of its certificates there; empty when it serves none.
served() {
  at=$1
  shift
  case $at in
    */*) set -- -starttls "${at#*/}" "$@" ;;
  esac
  ssl s_client -connect "127.0.0.1:${at%%/*}" "$@" </dev/null
}

# missing: the ports that do not serve the copy, all asked at the same time, and clients without ECDSA too if it has a
# certificate for them.
missing() {
  leaf=$(sed '/-----END CERTIFICATE-----/q' "$copy/fullchain.pem")
  rsa=$leaf
  [ -z "$second" ] || rsa=$(sed '/-----END CERTIFICATE-----/q' "$copy/fullchain-rsa.pem")
  for port in $ports; do
    { serves "$port" || printf ' %s' "${port%%/*}"; } &
  done
  wait
}

serves() {
  case $(served "$1") in *"$leaf"*) ;; *) return 1 ;; esac
  [ "$rsa" != "$leaf" ] || return 0
  case $(served "$1" -sigalgs rsa_pss_rsae_sha256:RSA+SHA256) in *"$rsa"*) ;; *) return 1 ;; esac
}

# superseded GENERATION: whether `current` has moved on; what is left to do is then another generation's.
superseded() { [ "$(readlink "$certs/current")" != "$1" ]; }

# await GENERATION TRIES: looks again, up to TRIES times, until every port serves it; leaves the rest in `left`.
await() {
  tries=$2
  while left=$(missing) && [ -n "$left" ]; do
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
  if [ "$1" != "$taken" ] && ! hold "$1"; then
    log "$1 refused, $daemon keeps what it serves: $why"
    return 1
  fi
  # A daemon that served another generation a moment ago certainly needs this; any other may serve it already.
  if [ -z "$taken" ] || [ "$1" = "$taken" ]; then
    await "$1" 1 && return 0
  fi
  take_up
  sleep 0.1 # the daemon's own time: a look now would only take the processor from it
  await "$1" 10 && return 0
  superseded "$1" && return 1
  log "$1 is not served yet on$left, asking $daemon again with a reload"
  take_up_hard
  await "$1" 50 && return 0
  superseded "$1" && return 1
  log "$1 is still not served on$left; next try follows"
  return 1
}

# switched GENERATION SECONDS: returns when `current` names another one, at the latest after SECONDS. Perl looks fifty
# times a second for less than a shell's loop spends on looking once. No inotify: network file systems do not have it.
switched() {
  # shellcheck disable=SC2016
  perl -e 'my ($link, $old, $seconds) = @ARGV;
    for (1 .. 50 * $seconds) { last if (readlink($link) // "") ne $old; select undef, undef, undef, 0.02 }' \
    "$certs/current" "$1" "$2" &
  wait $!
}

follow() {
  daemon=$1
  shift
  ports=$*
  taken=
  pause=1
  mkdir -p "$state"
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
      switched '' "$recheck"
    elif adopt "$now"; then
      [ "$now" = "$taken" ] || log "$daemon serves $now on every port"
      taken=$now
      pause=1
      tidy
      report serving "$now"
      switched "$now" "$recheck"
    else
      taken=
      superseded "$now" && continue
      tidy
      report failing "$now"
      switched "$now" "$pause"
      [ "$pause" -ge 30 ] || pause=$((pause * 2))
    fi
  done
}

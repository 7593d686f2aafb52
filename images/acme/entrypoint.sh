#!/bin/sh
# PID 1: keeps one certd running, passes the stop signal on, reaps what nobody waits for.
set -eu
umask 022

child=
stopping=
stop() {
  stopping=yes
  [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || :
}
trap stop TERM INT

mkdir -p /run/certd
delay=0.2
while [ -z "$stopping" ]; do
  # One certd per volume. The lock is node's own descriptor: it goes with the process, however that ends.
  flock --no-fork --nonblock --conflict-exit-code 75 /etc/ssl/mail/.certd.lock \
    node --max-old-space-size=64 /usr/local/lib/vectis/certd.mjs &
  child=$!
  started=$(cut -d. -f1 /proc/uptime)
  code=0
  wait "$child" || code=$?
  # A trapped signal ends the wait early; certd itself needs a moment more.
  while kill -0 "$child" 2>/dev/null; do wait "$child" || code=$?; done
  child=
  [ -z "$stopping" ] || break
  [ $(($(cut -d. -f1 /proc/uptime) - started)) -lt 10 ] || delay=0.2
  case $code in
    75) echo "Another certd uses this volume; waiting for it to go." delay=5 ;;
    78) echo "certd refuses its configuration; it is tried again in 60 s, a corrected one replaces the container." delay=60 ;;
    *) echo "certd ended with code $code and is started again." ;;
  esac
  # Not longer: a stop signal is answered only after the sleep.
  sleep "$delay" &
  child=$!
  wait "$child" || :
  child=
  case $delay in 0.2) delay=0.5 ;; 0.5) delay=1 ;; *) delay=5 ;; esac
done

# shellcheck shell=sh disable=SC2154 # root and cache come from lib.sh
# What `make check`, the lab and the tests call besides Node.js.

setup_checks() {
  need curl curl ca-certificates
  need openssl openssl
  need shellcheck shellcheck
  need nmap nmap
  setup_promtool
  setup_faketime
}

# A clock that can be set, for the fault suite; preloaded there and nowhere else.
setup_faketime() {
  if ! ls "$cache"/faketime/usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1; then
    say "fetching libfaketime from the Debian package libfaketime"
    quietly faketime fetch_package libfaketime faketime || exit 1
  fi
  mkdir -p "$root/.vectis/lib"
  ln -sf "$cache"/faketime/usr/lib/*/faketime/libfaketime.so.1 "$root/.vectis/lib/libfaketime.so.1"
}

# Checks the alert rules. Out of Debian's package without installing that: it would start a Prometheus on this machine.
setup_promtool() {
  command -v promtool >/dev/null 2>&1 && return 0
  if [ ! -x "$cache/promtool/usr/bin/promtool" ]; then
    say "fetching promtool from the Debian package prometheus"
    quietly promtool fetch_package prometheus promtool || exit 1
  fi
  mkdir -p "$root/.vectis/bin"
  ln -sf "$cache/promtool/usr/bin/promtool" "$root/.vectis/bin/promtool"
}

# fetch_package PACKAGE FOLDER: unpacks a Debian package into a folder of the cache.
fetch_package() (
  mkdir -p "$cache/$2" && cd "$cache/$2" || exit 1
  rm -f "$1"_*.deb
  apt-get download -q "$1" || { as_root apt-get update -q && apt-get download -q "$1"; } || exit 1
  dpkg -x "$1"_*.deb . && rm -f "$1"_*.deb
)

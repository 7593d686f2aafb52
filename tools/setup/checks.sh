# shellcheck shell=sh disable=SC2154 # root and cache come from lib.sh
# What `make check`, the lab and the tests call besides Node.js.

setup_checks() {
  need curl curl ca-certificates
  need openssl openssl
  need shellcheck shellcheck
  need nmap nmap
  setup_promtool
}

# Checks the alert rules. Out of Debian's package without installing that: it would start a Prometheus on this machine.
setup_promtool() {
  command -v promtool >/dev/null 2>&1 && return 0
  if [ ! -x "$cache/promtool/usr/bin/promtool" ]; then
    say "fetching promtool from the Debian package prometheus"
    quietly promtool fetch_promtool || exit 1
  fi
  mkdir -p "$root/.vectis/bin"
  ln -sf "$cache/promtool/usr/bin/promtool" "$root/.vectis/bin/promtool"
}

fetch_promtool() (
  mkdir -p "$cache/promtool" && cd "$cache/promtool" || exit 1
  rm -f prometheus_*.deb
  apt-get download -q prometheus || { as_root apt-get update -q && apt-get download -q prometheus; } || exit 1
  dpkg -x prometheus_*.deb . && rm -f prometheus_*.deb
)

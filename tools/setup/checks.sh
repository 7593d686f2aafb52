# shellcheck shell=sh
# What `make check`, the lab and the tests call besides Node.js.

setup_checks() {
  need curl curl
  need openssl openssl
  need shellcheck shellcheck
}

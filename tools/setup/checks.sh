# shellcheck shell=sh
# What `make check`, the lab and the tests call besides Node.js.

setup_checks() {
  need curl curl ca-certificates
  need openssl openssl
  need shellcheck shellcheck
  need nmap nmap
}

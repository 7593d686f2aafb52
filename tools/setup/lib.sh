# shellcheck shell=sh
# What the set-up steps share: where things are kept, how long work is shown, how a download fails fast.
# Sourced by tools/bootstrap and tools/pulumi, which set `root` to the checkout first.
# shellcheck disable=SC2034,SC2154 # variables cross files here

# Downloads and builds are shared by all checkouts; everything of this checkout is in .vectis (git-ignored).
cache=${VECTIS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/vectis}
# Paths that tools/pulumi needs on every call, so they are here and not in the steps that fill them.
pulumi_version=3.259.0
pulumi_bin=$cache/pulumi/$pulumi_version/bin
pulumi_home=$root/.vectis/pulumi
node_bin=$root/node_modules/node/bin
# Provider plugins as name:version; the versions are those of the @pulumi/* packages in package.json.
plugins='docker:5.2.0 cloudflare:6.22.1 tls:5.6.1'

# Progress goes to stderr: the output of `tools/pulumi stack output` must stay clean while a step runs.
say() { printf '  %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# quietly NAME COMMAND...: output goes to a log, a line every 30 s says that work goes on, a failure shows the log's end.
quietly() {
  log=$cache/log/$1.log
  what=$1
  shift
  mkdir -p "$cache/log"
  (
    waited=0
    while sleep 30; do
      waited=$((waited + 30))
      printf '  ... %s: %s s\n' "$what" "$waited" >&3
    done
  ) 3>&2 >/dev/null 2>&1 </dev/null 9>&- &
  ticker=$!
  status=0
  "$@" >"$log" 2>&1 || status=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  [ "$status" -eq 0 ] || {
    tail -n 20 "$log" >&2
    printf 'error: %s failed (status %s), all of its output: %s\n' "$what" "$status" "$log" >&2
  }
  return "$status"
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    die "root is needed for: $*"
  fi
}

# need COMMAND PACKAGE...: installs the Debian packages that bring a missing command.
need() {
  command -v "$1" >/dev/null 2>&1 && return 0
  command=$1
  shift
  command -v apt-get >/dev/null 2>&1 || die "\`$command\` is missing and this is no Debian: install it"
  [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null || die "\`$command\` is missing; as root: apt-get install $*"
  say "installing the Debian package $1 (brings $command)"
  # The package lists may be there already. If not, a third-party source that does not answer must not stop Debian's own.
  # shellcheck disable=SC2016 # expanded by the inner shell
  quietly "apt-$1" as_root sh -c '
    install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; }
    install "$@" || { apt-get update -q; install "$@"; }' sh "$@" || exit 1
  hash -r
  command -v "$command" >/dev/null 2>&1 || die "the package $1 did not bring $command"
}

# fetch URL FILE: temp-and-rename. A host that did not answer is not tried again in this run (steps share one shell).
unreachable=' '
fetch() {
  host=${1#*://}
  host=${host%%/*}
  case $unreachable in *" $host "*) return 1 ;; esac
  need curl curl ca-certificates
  mkdir -p "${2%/*}"
  status=0
  curl -fsSL --connect-timeout 3 --speed-limit 20000 --speed-time 10 -o "$2.part" "$1" 2>/dev/null || status=$?
  if [ "$status" -eq 0 ]; then
    mv "$2.part" "$2"
    return 0
  fi
  rm -f "$2.part"
  # 22 is an HTTP error: the host is there, this file is not.
  [ "$status" -eq 22 ] || unreachable="$unreachable$host "
  return 1
}

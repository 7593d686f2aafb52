# shellcheck shell=sh disable=SC2154 # root, cache and the tools' places come from lib.sh
# Docker Engine: uses what answers, else installs Debian's docker.io and starts dockerd.

docker_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# A killed dockerd leaves pid files; when the number belongs to another process by now, the next start refuses or hangs.
remove_stale_pid() {
  [ -f "$1" ] || return 0
  pid=$(cat "$1")
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] || as_root rm -f "$1"
}

start_dockerd() {
  if [ -d /run/systemd/system ]; then
    as_root systemctl start docker
    return
  fi
  remove_stale_pid /var/run/docker.pid dockerd
  remove_stale_pid /var/run/docker/containerd/containerd.pid containerd
  daemon_log=/var/log/dockerd.log
  # shellcheck disable=SC2016 # $1 belongs to the inner shell
  as_root sh -c 'exec setsid nohup dockerd >>"$1" 2>&1 </dev/null 9>&- &' sh "$daemon_log"
}

setup_docker() {
  if command -v docker >/dev/null 2>&1; then
    docker_answers && return 0
    [ -z "${DOCKER_HOST:-}" ] || die "no Docker Engine answers at DOCKER_HOST=$DOCKER_HOST"
  fi
  need dockerd docker.io ca-certificates
  # Since Debian 13 the client is a package of its own.
  need docker docker-cli
  docker_answers && return 0
  [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null ||
    die "no Docker Engine answers: start it, or join the group docker (as root: adduser $(id -un) docker)"
  say "starting dockerd (about 3 s)"
  start_dockerd
  waited=0
  until docker_answers; do
    waited=$((waited + 1))
    if [ "$waited" -gt 300 ]; then
      tail -n 20 /var/log/dockerd.log >&2 2>/dev/null || true
      die "dockerd does not answer after 60 s, see /var/log/dockerd.log"
    fi
    sleep 0.2
  done
}

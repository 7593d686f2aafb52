# shellcheck shell=sh disable=SC2154 # root, cache and the tools' places come from lib.sh
# Where this checkout's Pulumi keeps state, plugins and passphrase. Sourced by tools/pulumi and tools/vectis.

# An installed tool chain costs these tests only; tools/bootstrap fills what is missing.
pulumi_ready() {
  [ -x "$pulumi_bin/pulumi" ] && [ -x "$node_bin/node" ] || return 1
  for entry in $plugins; do
    [ -x "$pulumi_home/plugins/resource-${entry%:*}-v${entry#*:}/pulumi-resource-${entry%:*}" ] || return 1
  done
}

# The program starts a third of a second sooner when its modules are compiled already.
# Node.js 24 and the language host are found on the PATH, by name.
common_env() {
  NODE_COMPILE_CACHE=${NODE_COMPILE_CACHE:-$cache/node-compile-cache}
  PULUMI_SKIP_UPDATE_CHECK=true
  PULUMI_SUPPRESS_NEO_LINK=true
  export NODE_COMPILE_CACHE PULUMI_SKIP_UPDATE_CHECK PULUMI_SUPPRESS_NEO_LINK
}

# The state of local stacks stays in the checkout, whatever backend the user's own Pulumi is logged in to.
checkout_env() {
  common_env
  # Development passphrase, no secret: it fits the encryptionsalt of the committed Pulumi.dev.yaml files.
  if [ -z "${PULUMI_CONFIG_PASSPHRASE+set}${PULUMI_CONFIG_PASSPHRASE_FILE+set}" ]; then
    PULUMI_CONFIG_PASSPHRASE_FILE=$root/.vectis/passphrase
    export PULUMI_CONFIG_PASSPHRASE_FILE
    # The program takes it for the stack dev alone. Tests bring a state of their own.
    [ -n "${VECTIS_BACKEND_URL:-}" ] || export VECTIS_PUBLIC_PASSPHRASE=1
    [ -f "$PULUMI_CONFIG_PASSPHRASE_FILE" ] ||
      (umask 077 && mkdir -p "$root/.vectis" && printf 'vectis-development\n' >"$PULUMI_CONFIG_PASSPHRASE_FILE")
  fi
  PULUMI_BACKEND_URL=${VECTIS_BACKEND_URL:-file://$root/.vectis/state}
  [ -n "${VECTIS_BACKEND_URL:-}" ] || [ -d "$root/.vectis/state" ] || mkdir -p "$root/.vectis/state"
  PULUMI_HOME=$pulumi_home
  PATH=$pulumi_bin:$node_bin:$PATH
  export PULUMI_BACKEND_URL PULUMI_HOME PATH
  drop_stale_locks
}

# A killed run leaves its lock behind. It names its process: when that is gone, nobody holds the lock.
drop_stale_locks() {
  for lock in "$root"/.vectis/state/.pulumi/locks/*/*/*/*.json; do
    IFS= read -r text 2>/dev/null <"$lock" || [ -n "${text:=}" ] || continue
    pid=${text#*\"pid\":}
    pid=${pid%%,*}
    if IFS= read -r process 2>/dev/null <"/proc/$pid/comm" && [ "$process" = pulumi ]; then continue; fi
    case $text in *"\"hostname\":\"$(uname -n)\""*) rm -f "$lock" "$lock.attrs" ;; esac
  done
}

# A Pulumi that the operator has set up is left as it is: backend, login, passphrase, plugins, selected stack.
own_pulumi() {
  [ -z "${VECTIS_BACKEND_URL:-}" ] && [ -n "${PULUMI_BACKEND_URL:-}${PULUMI_ACCESS_TOKEN:-}" ]
}
own_env() {
  common_env
  PATH=$node_bin:$PATH:$pulumi_bin
  # Stand-ins are for where the official plugin can be neither found nor downloaded; the engine looks on the PATH too.
  for entry in $plugins; do
    plugin=plugins/resource-${entry%:*}-v${entry#*:}
    [ ! -e "$pulumi_home/stand-in-${entry%:*}" ] || [ -d "${PULUMI_HOME:-${HOME:-}/.pulumi}/$plugin" ] ||
      PATH=$PATH:$pulumi_home/$plugin
  done
  export PATH
}

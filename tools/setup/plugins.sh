# shellcheck shell=sh disable=SC2154 # root, cache and the tools' places come from lib.sh
# Provider plugins: installed by the user's Pulumi, else downloaded, else the stand-in in lab/providers/.
# Each becomes a two-line launcher where the engine looks for it, so a checkout never copies a binary.

launcher() { # TARGET FILE
  mkdir -p "${2%/*}"
  # shellcheck disable=SC2016 # $0 and $@ belong to the launcher
  printf '#!/bin/sh\nexec "%s" "$@"\n' "$1" >"$2.part"
  chmod 755 "$2.part"
  mv "$2.part" "$2"
}

official_plugin() { # NAME VERSION: leaves the path of the binary in `plugin`
  folder=resource-$1-v$2
  for plugin in "${HOME:-}/.pulumi/plugins/$folder/pulumi-resource-$1" "$cache/plugins/$folder/pulumi-resource-$1"; do
    [ -x "$plugin" ] && return 0
  done
  case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) return 1 ;; esac
  archive=$cache/download/pulumi-$folder-linux-$arch.tar.gz
  fetch "https://get.pulumi.com/releases/plugins/${archive##*/}" "$archive" || return 1
  mkdir -p "$cache/plugins"
  fresh=$(mktemp -d "$cache/plugins/fresh.XXXXXX")
  tar -xzf "$archive" -C "$fresh" || return 1
  rm -rf "${cache:?}/plugins/$folder"
  mv "$fresh" "$cache/plugins/$folder"
  rm -f "$archive"
}

setup_plugins() {
  for entry in $plugins; do
    name=${entry%:*}
    version=${entry#*:}
    target=$pulumi_home/plugins/resource-$name-v$version/pulumi-resource-$name
    standin=$pulumi_home/stand-in-$name
    # A stand-in is in use only as long as the official plugin cannot be had: ask again after a day.
    if [ -x "$target" ] && [ -z "$(find "$standin" -mmin +1440 2>/dev/null)" ]; then continue; fi
    say "looking for the provider plugin $name $version"
    if official_plugin "$name" "$version"; then
      launcher "$plugin" "$target"
      rm -f "$standin"
    elif [ -d "$root/lab/providers/$name" ]; then
      say "not reachable: using the stand-in in lab/providers/$name"
      # From plugins/resource-NAME-vVERSION in .vectis/pulumi, so that a moved checkout still finds it.
      # shellcheck disable=SC2016 # expanded by the launcher
      launcher '${0%/*}/../../../../lab/providers/'"$name/pulumi-resource-$name" "$target"
      : >"$standin"
    else
      die "the provider plugin $name $version cannot be downloaded, and lab/providers/ has no stand-in for it"
    fi
  done
}

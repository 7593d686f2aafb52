# shellcheck shell=sh disable=SC2154 # root, cache and the tools' places come from lib.sh
# The Pulumi CLI and its Node.js language host, both in $pulumi_bin.

# The SDK in package.json speaks to any CLI of the same major version that is not older than this.
oldest_minor=249

suitable_pulumi_on_path() {
  found=$(command -v pulumi) || return 1
  case $(readlink -f "$found") in "$root"/*) return 1 ;; esac
  version=$("$found" version 2>/dev/null) || return 1
  case $version in v3.*) ;; *) return 1 ;; esac
  minor=${version#v3.}
  minor=${minor%%.*}
  [ "$minor" -ge "$oldest_minor" ] 2>/dev/null || return 1
  host=$(command -v pulumi-language-nodejs) || host=$(dirname "$(readlink -f "$found")")/pulumi-language-nodejs
  [ -x "$host" ] || return 1
  ln -s "$found" "$1/pulumi"
  ln -s "$host" "$1/pulumi-language-nodejs"
  say "using $found ($version)"
}

official_pulumi() {
  case $(uname -m) in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; *) return 1 ;; esac
  archive=$cache/download/pulumi-v$pulumi_version-linux-$arch.tar.gz
  say "downloading the Pulumi CLI $pulumi_version (about 80 MB)"
  [ -f "$archive" ] || fetch "https://get.pulumi.com/releases/sdk/${archive##*/}" "$archive" || return 1
  tar -xzf "$archive" -C "$1" --strip-components=1 || return 1
}

# tools/go/* are modules of their own, so that go.sum pins every source file that is compiled.
built_pulumi() {
  command -v go >/dev/null 2>&1 || die "the official Pulumi download cannot be reached, and Go is missing to build it"
  say "not reachable: building the Pulumi CLI $pulumi_version from its Go module, once (4 to 6 min on 2 cores)"
  quietly build-pulumi go_build pulumi "$1/pulumi" github.com/pulumi/pulumi/pkg/v3/cmd/pulumi \
    "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v$pulumi_version" || exit 1
  say "building its language host for Node.js (20 s to 1 min)"
  quietly build-language-nodejs go_build language-nodejs "$1/pulumi-language-nodejs" \
    github.com/pulumi/pulumi/sdk/v3/nodejs/cmd/pulumi-language-nodejs "" || exit 1
}

go_build() { # MODULE OUTPUT PACKAGE LDFLAGS
  cd "$root/tools/go/$1" && go build -trimpath -ldflags "-s -w $4" -o "$2" "$3"
}

setup_pulumi() {
  [ -x "$pulumi_bin/pulumi" ] && [ -x "$pulumi_bin/pulumi-language-nodejs" ] && return 0
  rm -rf "${pulumi_bin%/bin}"
  mkdir -p "$cache/pulumi"
  fresh=$(mktemp -d "$cache/pulumi/fresh.XXXXXX")
  for way in suitable_pulumi_on_path official_pulumi built_pulumi; do
    rm -rf "${fresh:?}/bin"
    mkdir "$fresh/bin"
    "$way" "$fresh/bin" && break
  done
  case $("$fresh/bin/pulumi" version) in v3.*) ;; *) die "the Pulumi CLI in $fresh does not run" ;; esac
  chmod 755 "$fresh"
  mv "$fresh" "${pulumi_bin%/bin}"
}

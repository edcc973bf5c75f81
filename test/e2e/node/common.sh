# shellcheck shell=bash
# Settings shared by the scripts. binaries.ts finds the first three; the others may be overridden in the environment.
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BIN=${CAO_NODE_BIN:?folder of the binaries: these scripts are started by npm run e2e}
DEBIAN=${CAO_NODE_DEBIAN:?folder of the unpacked Debian packages}
IMG=${CAO_NODE_IMAGES:?folder of the images}
: "${CAO_NODE_DIR:=}" # folder of one running node
: "${CAO_NODE_PORT:=16443}" # loopback port of the API outside the node
: "${CAO_NODE_NAME:=node}"
: "${NODE_VERSION:=24.21.0}"
: "${NPM_VERSION:=11.21.2}"
# Addresses that exist only inside the node's own network namespace (no uplink).
: "${NODE_IP:=10.90.0.2}"
: "${POD_NET:=10.91.0}" # /24
: "${SVC_NET:=10.92.0}" # /24
: "${PAUSE_REF:=localhost/pause:1}"
: "${SLIM_REF:=docker.io/library/node:24-bookworm-slim}"

die() { echo "node: $*" >&2; exit 1; }

# Starts the script anew in a mount namespace of its own where the unpacked packages lie over /usr, as if they were
# installed: see_packages "$0" "$@"
see_packages() {
  [ -z "${CAO_NODE_INSIDE:-}" ] || return 0
  CAO_NODE_INSIDE=1 DEBIAN=$DEBIAN exec unshare --mount --propagation private \
    bash -euc 'mount -t overlay -o "lowerdir=$DEBIAN/usr:/usr" overlay /usr; exec "$@"' bash "$@"
}

# cgroup v1: MOUNTPOINT CONTROLLERS PATH of this shell, named hierarchies included, one a line.
cg_list() {
  local ctl path mp
  while IFS=: read -r _ ctl path; do
    [ -n "$ctl" ] || continue
    mp=$(awk -v c="$ctl" '$3=="cgroup"{n=split($4,o,","); for(i=1;i<=n;i++) if (o[i]==c) {print $2; exit}}' /proc/self/mounts)
    [ -n "$mp" ] && echo "$mp $ctl $path"
  done </proc/self/cgroup
}

# Runs a command inside the node: in its cgroups and all its namespaces.
in_node() {
  local pid d
  pid=$(cat "$CAO_NODE_DIR/node.pid") || die "no node in $CAO_NODE_DIR"
  ( while read -r d; do echo "$BASHPID" >"$d/cgroup.procs"; done <"$CAO_NODE_DIR/cgroups"
    exec nsenter -t "$pid" -m -u -i -n -p -C -- "$@" )
}

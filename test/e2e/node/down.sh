#!/usr/bin/env bash
# Ends the node in CAO_NODE_DIR and removes its cgroups and its data. Ends only processes that up.sh started.
set -euo pipefail
. "$(dirname "$0")/common.sh"
D=${CAO_NODE_DIR:?the folder of a node}
[ -d "$D" ] || exit 0
started() { # PID FILE: the process runs, and is the one whose start time FILE holds
  [ "$(awk '{print $22}' "/proc/$1/stat" 2>/dev/null)" = "$(cat "$2")" ]
}
# node: process 1 of the PID namespace. The kernel ends everything in it, and the other namespaces go with it.
for name in socat node; do
  [ -s "$D/$name.start" ] || continue
  p=$(cat "$D/$name.pid")
  started "$p" "$D/$name.start" || continue
  kill -KILL "$p" || true
  for _ in $(seq 100); do [ -e "/proc/$p" ] || break; sleep 0.1; done
done
if [ -s "$D/cgroups" ]; then
  while read -r c; do
    for _ in $(seq 50); do
      [ -d "$c" ] || break
      find "$c" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
    done
    [ ! -d "$c" ] || echo "node: left behind: $c" >&2
  done <"$D/cgroups"
fi
rm -f -- "$D.tar" # the image that node.ts loads
if [ -e "$D/.node" ]; then rm -rf --one-file-system -- "$D"; else rmdir -- "$D"; fi

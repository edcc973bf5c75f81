#!/usr/bin/env bash
# A node for as long as standard input stays open: whatever way the process at its other end dies, the kernel closes the
# pipe and the node goes. Prints what up.sh prints, whose last line is KUBECONFIG=FILE or FAILED.
set -uo pipefail
. "$(dirname "$0")/common.sh"
"$HERE/up.sh" </dev/null &
up=$!
# Only the end of the other process ends this one.
trap '' INT TERM HUP
cat >/dev/null
kill -TERM "$up" 2>/dev/null
wait "$up"
exec "$HERE/down.sh"

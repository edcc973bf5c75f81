#!/usr/bin/env bash
# Starts a one-node Kubernetes cluster in namespaces of its own (mount, network, PID, UTS, IPC, cgroup)
# and waits until the node is Ready. Nothing of the machine outside is changed, but one loopback port is
# opened (CAO_NODE_PORT, the API) and cgroups are made below this shell's own. down.sh ends and removes it all.
# The last line is KUBECONFIG=FILE, for outside.
set -euo pipefail
. "$(dirname "$0")/common.sh"
see_packages "$0" "$@"
: "${PROXY_MODE:=nftables}"
: "${KUBELET_FLAGS:=}"
CNI_BIN=/usr/lib/cni # as Debian's package has it
CONTAINERD=/usr/bin/containerd
D=${CAO_NODE_DIR:?a new folder}
if (exec 3<>"/dev/tcp/127.0.0.1/$CAO_NODE_PORT") 2>/dev/null; then die "port $CAO_NODE_PORT is in use: set CAO_NODE_PORT"; fi
case $D/ in /run/* | /var/lib/* | /var/log/* | /var/run/*) die "CAO_NODE_DIR must not be below /run, /var/lib or /var/log" ;; esac
[ -z "$(ls -A "$D" 2>/dev/null)" ] || die "$D is not empty"
failed() {
  echo FAILED
  [ -z "${up:-}" ] || kill -KILL "$up" 2>/dev/null || true
  "$HERE/down.sh"
}
# With a trap of its own a signal ends the script after the command under way, so that what that made is known.
trap 'exit 143' TERM
trap '[ $? = 0 ] || failed' EXIT
mkdir -p "$D"/{pki,log,etc/net.d,fake,kubelet,containerd,pods}
: >"$D/.node"
t0=$SECONDS; say() { echo "[$((SECONDS - t0))s] $*"; }

# --- identities
cd "$D/pki"; chmod 700 .
openssl genrsa -out sa.key 2048 2>/dev/null; openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=node-ca 2>/dev/null
issue() { # NAME SUBJECT EXT
  openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" -extfile <(echo "$3") 2>/dev/null
}
issue apiserver /CN=kube-apiserver "subjectAltName=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$NODE_IP,IP:$SVC_NET.1
extendedKeyUsage=serverAuth"
issue kubelet "/CN=$CAO_NODE_NAME" "subjectAltName=DNS:$CAO_NODE_NAME,IP:$NODE_IP,IP:127.0.0.1
extendedKeyUsage=serverAuth"
issue client /O=system:masters/CN=apiserver-kubelet-client "extendedKeyUsage=clientAuth"
admin=$(openssl rand -hex 16) nodetok=$(openssl rand -hex 16)
{ echo "$admin,admin,admin,system:masters"; echo "$nodetok,system:node:$CAO_NODE_NAME,$CAO_NODE_NAME,system:nodes"; } >tokens.csv
kubeconfig() { # FILE SERVER TOKEN
  cat >"$1" <<K
apiVersion: v1
kind: Config
clusters: [{name: node, cluster: {server: "$2", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: node, user: {token: $3}}]
contexts: [{name: node, context: {cluster: node, user: node}}]
current-context: node
K
}
kubeconfig "$D/kubeconfig" "https://127.0.0.1:$CAO_NODE_PORT" "$admin"
chmod 600 "$D/kubeconfig"
kubeconfig admin.conf "https://$NODE_IP:6443" "$admin"
kubeconfig kubelet.conf "https://$NODE_IP:6443" "$nodetok"
cd "$D"

# --- configuration
cat >etc/net.d/10-node.conflist <<K
{"cniVersion":"1.0.0","name":"node","plugins":[
 {"type":"bridge","bridge":"cni0","isGateway":true,"hairpinMode":true,
  "ipam":{"type":"host-local","ranges":[[{"subnet":"$POD_NET.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}},
 {"type":"portmap","capabilities":{"portMappings":true}}]}
K
cat >etc/containerd.toml <<K
version = 2
root = "$D/containerd"
state = "/run/containerd"
[grpc]
  address = "$D/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_REF"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$CNI_BIN"
    conf_dir = "$D/etc/net.d"
K
echo "nameserver $NODE_IP" >etc/resolv.conf
cat >etc/Corefile <<K
.:53 {
  bind $NODE_IP
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig $D/pki/admin.conf
    pods insecure
    ttl 5
  }
}
K
cat >etc/kubelet.yaml <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://$D/containerd.sock
address: $NODE_IP
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $D/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $D/pki/kubelet.crt
tlsPrivateKeyFile: $D/pki/kubelet.key
podLogsDir: $D/pods
resolvConf: $D/etc/resolv.conf
clusterDomain: cluster.local
clusterDNS: [$NODE_IP]
failSwapOn: false
oomScoreAdj: 0
maxOpenFiles: $(ulimit -Hn)
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}
nodeStatusUpdateFrequency: 5s
K
cat >etc/proxy.yaml <<K
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: $PROXY_MODE
clientConnection: {kubeconfig: $D/pki/admin.conf}
clusterCIDR: $POD_NET.0/24
hostnameOverride: $CAO_NODE_NAME
bindAddress: $NODE_IP
nodePortAddresses: [primary]
# The connection table's size belongs to the machine; leave it, and the time-outs, as they are.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
K
# The kubelet sets these for the whole machine unless they already read as it wants: it gets to read these
# files in place of the real ones.
set -- vm/overcommit_memory 1 vm/panic_on_oom 0 kernel/panic 10 kernel/panic_on_oops 1 kernel/keys/root_maxkeys 1000000 kernel/keys/root_maxbytes 25000000
: >fake/list
while [ $# -gt 0 ]; do echo "$2" >"fake/${1//\//.}"; echo "$1 $D/fake/${1//\//.}" >>fake/list; shift 2; done

# --- namespaces and cgroups
# Every cgroup of the node lies below this shell's own, so its limits and its accounting hold for the pods too.
: >cgroups
while read -r mp ctl path; do
  d=${mp}${path%/}/cao-node-$$
  mkdir "$d"; echo "$d" >>cgroups
  if [ "$ctl" = cpuset ]; then for f in cpuset.cpus cpuset.mems; do cat "${d%/*}/$f" >"$d/$f"; done; fi
done < <(cg_list)
cg_list | awk '{print $1, $2}' >cgroups.mounts
cat >init.sh <<'K'
set -eu
D=$1 BIN=$2 NODE_IP=$3 NAME=$4
hostname "$NAME"
mount --make-rprivate /
umount -R -l /sys
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
while read -r mp ctl; do
  mkdir -p "$mp"
  case $ctl in name=*) o=none,$ctl ;; *) o=$ctl ;; esac
  mount -t cgroup -o "$o" cgroup "$mp"
done <"$D/cgroups.mounts"
for t in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs $t; done
mkdir -p /run/netns /run/lock /run/containerd /var/lib/kubelet /var/lib/cni /var/log/pods
while read -r f g; do [ -e "/proc/sys/$f" ] && mount --bind "$g" "/proc/sys/$f"; done <"$D/fake/list"
mount --make-rshared /
# lo, and a bridge without ports that holds the node's address. The default route leads nowhere: it only makes
# service addresses routable, so that the kernel gets as far as translating them.
ip link set lo up
ip link add node0 type bridge
ip addr add "$NODE_IP/24" dev node0
ip link set node0 up
ip route add default dev node0
echo 1 >/proc/sys/net/ipv4/ip_forward
: >"$D/ready"
exec "$BIN/pause"
K
rm -f ready
(
  while read -r d; do echo "$BASHPID" >"$d/cgroup.procs"; done <cgroups
  exec setsid unshare --mount --uts --ipc --net --pid --cgroup --fork --kill-child --mount-proc \
    bash init.sh "$D" "$BIN" "$NODE_IP" "$CAO_NODE_NAME"
) >log/init.log 2>&1 </dev/null &
up=$!
for _ in $(seq 100); do [ -e ready ] && break; kill -0 $up 2>/dev/null || { cat log/init.log >&2; die "the node's namespaces could not be made"; }; sleep 0.1; done
[ -e ready ] || die "no namespaces: $(cat log/init.log)"
read -r pid _ <"/proc/$up/task/$up/children" || [ -n "$pid" ]
echo "$pid" >node.pid; awk '{print $22}' "/proc/$pid/stat" >node.start
say "namespaces: process 1 is $pid"

start() { # NAME CMD...
  local n=$1; shift
  in_node setsid "$@" >"$D/log/$n.log" 2>&1 </dev/null &
}
wait_for() { # SECONDS WHAT CMD...
  local end=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || { tail -n 20 "$D"/log/*.log >&2; die "no $what"; }; sleep 0.2; done
  say "$what"
}
k() { "$BIN/kubectl" --kubeconfig "$D/kubeconfig" "$@"; }

start etcd "$BIN/etcd" --data-dir "$D/etcd" --unsafe-no-fsync
start containerd env PATH="$BIN:$PATH" "$CONTAINERD" -c "$D/etc/containerd.toml"
start apiserver "$BIN/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --bind-address=0.0.0.0 \
  --advertise-address="$NODE_IP" --tls-cert-file="$D/pki/apiserver.crt" --tls-private-key-file="$D/pki/apiserver.key" \
  --cert-dir="$D/pki" --client-ca-file="$D/pki/ca.crt" --token-auth-file="$D/pki/tokens.csv" --authorization-mode=Node,RBAC \
  --kubelet-client-certificate="$D/pki/client.crt" --kubelet-client-key="$D/pki/client.key" \
  --kubelet-certificate-authority="$D/pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file="$D/pki/sa.pub" \
  --service-account-signing-key-file="$D/pki/sa.key" --service-cluster-ip-range="$SVC_NET.0/24" --allow-privileged=true
# the API on loopback outside: a unix socket in $D joins the two network namespaces
start socat-in socat "UNIX-LISTEN:$D/api.sock,fork,unlink-early" "TCP:$NODE_IP:6443"
setsid socat "TCP-LISTEN:$CAO_NODE_PORT,bind=127.0.0.1,reuseaddr,fork" "UNIX-CONNECT:$D/api.sock" >log/socat-out.log 2>&1 </dev/null &
echo $! >socat.pid; awk '{print $22}' "/proc/$!/stat" >socat.start
wait_for 60 "API ready" k get --raw /readyz
wait_for 30 "containerd ready" in_node ctr -a "$D/containerd.sock" version
"$HERE/image.sh" load "$IMG/pause.tar"
start kcm "$BIN/kube-controller-manager" --kubeconfig="$D/pki/admin.conf" --authentication-kubeconfig="$D/pki/admin.conf" \
  --authorization-kubeconfig="$D/pki/admin.conf" --bind-address=127.0.0.1 --cert-dir="$D/pki" --leader-elect=false \
  --root-ca-file="$D/pki/ca.crt" --service-account-private-key-file="$D/pki/sa.key" --use-service-account-credentials=true
start scheduler "$BIN/kube-scheduler" --kubeconfig="$D/pki/admin.conf" --authentication-kubeconfig="$D/pki/admin.conf" \
  --authorization-kubeconfig="$D/pki/admin.conf" --bind-address=127.0.0.1 --cert-dir="$D/pki" --leader-elect=false
start proxy "$BIN/kube-proxy" --config="$D/etc/proxy.yaml"
# shellcheck disable=SC2086
start kubelet env PATH="$BIN:$PATH" "$BIN/kubelet" --config="$D/etc/kubelet.yaml" --kubeconfig="$D/pki/kubelet.conf" \
  --root-dir="$D/kubelet" --hostname-override="$CAO_NODE_NAME" --node-ip="$NODE_IP" --cert-dir="$D/pki" $KUBELET_FLAGS
start coredns "$BIN/coredns" -conf "$D/etc/Corefile"
wait_for 90 "node Ready" sh -c "'$BIN/kubectl' --kubeconfig '$D/kubeconfig' wait --for=condition=Ready node/$CAO_NODE_NAME --timeout=1s"
wait_for 60 "default service account" k get serviceaccount default
echo "KUBECONFIG=$D/kubeconfig"

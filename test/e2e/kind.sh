#!/usr/bin/env bash
# `npm run e2e` on a cluster of kind (https://kind.sigs.k8s.io), made for it and deleted whatever way it ends.
# Needs docker, kind and kubectl, and the right to pull kind's node image. Arguments go to npm run e2e.
#   KIND_NODE_IMAGE  another node image than kind's own, such as kindest/node:v1.34.0
set -euo pipefail
cd "$(dirname "$0")/../.."
for tool in docker kind kubectl; do
  command -v "$tool" >/dev/null || { echo "kind.sh: $tool is not installed" >&2; exit 1; }
done
name=cao-e2e-$$
image=localhost/cloud-account-operator:$name
folder=$(mktemp -d)
remove() {
  kind delete cluster --name "$name" || true
  docker image rm --force "$image" >/dev/null 2>&1 || true
  rm -rf -- "$folder"
}
trap remove EXIT
# Not the shell's own end on a signal: that would wait for nobody and remove nothing.
trap 'exit 130' INT
trap 'exit 143' TERM HUP
kind create cluster --name "$name" --kubeconfig "$folder/kubeconfig" --wait 180s \
  ${KIND_NODE_IMAGE:+--image "$KIND_NODE_IMAGE"}
docker build --tag "$image" .
kind load docker-image "$image" --name "$name"
KUBECONFIG=$folder/kubeconfig E2E_IMAGE=$image npm run e2e -- "$@"

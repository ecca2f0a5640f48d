#!/bin/sh
# What the suite's overhead is held against: the same cluster, charts, values, images and programs, and no suite.
# Install the baseline, upgrade to the candidate, roll back; Helm waits for the workloads, kind for the node.
set -eu
: "${KIND:?}" "${KUBECTL:?}" "${HELM:?}" "${CLUSTER:?}" "${NODE_IMAGE:?}" "${KIND_CONFIG:?}" "${REQUIRED:?}"
: "${RELEASE:?}" "${NAMESPACE:?}" "${BASELINE:?}" "${BASELINE_VALUES:?}" "${CANDIDATE:?}" "${CANDIDATE_VALUES:?}"
: "${KUBECONFIG:?}"

trap '"$KIND" delete cluster --name "$CLUSTER" --kubeconfig "$KUBECONFIG"' EXIT
"$KIND" create cluster --name "$CLUSTER" --image "$NODE_IMAGE" --config "$KIND_CONFIG" --wait 120s
# The namespace and the Secrets that the contract requires beforehand.
"$KUBECTL" apply --filename "$REQUIRED"
"$HELM" install "$RELEASE" "$BASELINE" --namespace "$NAMESPACE" --values "$BASELINE_VALUES" --wait --timeout 120s
"$HELM" upgrade "$RELEASE" "$CANDIDATE" --namespace "$NAMESPACE" --values "$CANDIDATE_VALUES" --wait --timeout 120s
"$HELM" rollback "$RELEASE" 1 --namespace "$NAMESPACE" --wait --timeout 120s

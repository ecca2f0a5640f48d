#!/bin/sh
# Runs once, inside the node image as it is put together; follows what kind's images/base/Dockerfile and its
# node image build do.
set -eu

mkdir -p /usr/local/sbin /opt/cni/bin /etc/kubernetes/manifests
ln -sf /usr/sbin/runc /usr/local/sbin/runc
for plugin in host-local loopback ptp portmap; do cp "/usr/lib/cni/$plugin" /opt/cni/bin/; done

# Only what a node needs is started: the units that a machine's start wants would touch the host's devices.
rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
  /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/sockets.target.wants/*udev* \
  /lib/systemd/system/sockets.target.wants/*initctl* /lib/systemd/system/basic.target.wants/* \
  /lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service
echo "ReadKMsg=no" >>/etc/systemd/journald.conf
ln -sf /usr/lib/systemd/systemd /sbin/init
systemctl enable kubelet.service containerd.service undo-mount-hacks.service
systemctl mask systemd-binfmt.service

ctr oci spec |
  jq '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
    >/etc/containerd/cri-base.json

# The images of the control plane, so that a cluster never waits for one.
containerd >/tmp/containerd.log 2>&1 &
for _ in $(seq 100); do
  if ctr version >/dev/null 2>&1; then break; fi
  sleep 0.1
done
ctr --namespace k8s.io images import --no-unpack /kind/images.tar
kill %1 && wait || true
rm -rf /run/containerd /kind/images.tar /kind/setup.sh /tmp/containerd.log

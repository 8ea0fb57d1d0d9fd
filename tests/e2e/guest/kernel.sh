#!/bin/bash
# kernel.sh - the kernel that the virtual machines run, and the little file system it starts from, left in /srv/kernel.
#
# To be run as root inside a throwaway Debian 12 tree, in a jail. Debian's own cloud kernel, as it is: what a virtual
# machine's disk, cable and serial line need are modules of it, so a first init of ours loads them.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=/srv/kernel
scratch=$(mktemp -d)

# In the order in which they need each other.
first_modules="virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk failover net_failover
    virtio_net virtio_console rng-core virtio-rng"
# What a guest may ask its kernel for: packet filters, and little else.
later_modules="kernel/net kernel/lib kernel/crypto"

apt-get -qq update
apt-get -qq -y --no-install-recommends install busybox-static cpio kmod
kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
cd "$scratch"
apt-get -qq -o APT::Sandbox::User=root download "$kernel"
dpkg-deb -x linux-image-*.deb tree
release=$(ls tree/lib/modules)
modules=tree/lib/modules/$release

mkdir -p $out/modules/"$release" first/bin first/dev first/modules first/root
cp tree/boot/vmlinuz-"$release" $out/vmlinuz
for part in $later_modules modules.builtin modules.order modules.builtin.modinfo; do
    if [ -e "$modules/$part" ]; then
        mkdir -p "$(dirname "$out/modules/$release/$part")"
        cp -a "$modules/$part" "$out/modules/$release/$part"
    fi
done
mkdir -p base/lib
cp -a $out/modules base/lib/modules
depmod -b base "$release"
cp base/lib/modules/"$release"/modules.* $out/modules/"$release"/

cp /bin/busybox first/bin/busybox
for module in $first_modules; do
    path=$(find "$modules" -name "$module.ko")
    [ -z "$path" ] && continue      # part of the kernel itself
    cp "$path" first/modules/
    echo "$module"
done > first/modules/order
install -m 755 "$here/first-init" first/init
(cd first && find . | cpio -o -H newc --quiet) | gzip -1 > $out/initrd

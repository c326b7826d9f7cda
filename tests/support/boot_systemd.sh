#!/bin/bash
# boot_systemd.sh TARGET FOLDER...: to be run as PID 1 of new PID, mount, cgroup, IPC and UTS namespaces.
#
# Gives the machine's files a private writable layer that exists in memory only, and becomes systemd in it.
# What happens inside (users, units, /opt, /var, /tmp, /dev) never reaches the machine. The folders are there,
# read-only, even where they are on another file system or beneath /tmp. LIGAND_TEST_OVER is a folder of files that count
# before the machine's, such as those of another version of systemd; it has to be on another file system.
set -euo pipefail
target=$1
shift

mount --make-rprivate /
layer=/tmp # hidden in this namespace alone, after the folders have been taken from it
taken=()
for folder; do
  exec {number}<"$folder"
  taken+=("$number")
done
mount -t tmpfs -o mode=0755 ligand-machine "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay -o "lowerdir=${LIGAND_TEST_OVER:+$LIGAND_TEST_OVER:}/,upperdir=$layer/upper,workdir=$layer/work" overlay "$layer/root"
root=$layer/root
for folder in run tmp var/tmp var/log dev proc sys home opt; do mkdir -p "$root/$folder"; done

mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
groups=$root/sys/fs/cgroup
if [ "${LIGAND_TEST_CGROUPS:-}" = memory-v1 ]; then # systemd's hybrid layout: limits by v1, everything else by v2
  mount -t tmpfs -o mode=0755,nosuid,nodev,noexec tmpfs "$groups"
  mkdir "$groups/unified" "$groups/systemd" "$groups/memory"
  mount -t cgroup2 cgroup2 "$groups/unified"
  mount -t cgroup -o none,name=systemd cgroup "$groups/systemd"
  mount -t cgroup -o memory cgroup "$groups/memory"
  mount -o remount,ro tmpfs "$groups" # no other controller: those of the machine are not ours
else
  mount -t cgroup2 cgroup2 "$groups"
fi
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs "$root/run"
for folder in tmp var/tmp; do mount -t tmpfs -o mode=1777 tmpfs "$root/$folder"; done
for folder in var/log home; do mount -t tmpfs -o mode=0755 tmpfs "$root/$folder"; done

mount -t tmpfs -o mode=0755,nosuid tmpfs "$root/dev"
for node in null zero full random urandom tty; do
  : > "$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

for folder; do
  mkdir -p "$root$folder"
  mount --bind "/proc/self/fd/${taken[0]}" "$root$folder"
  mount -o remount,bind,ro "$root$folder"
  taken=("${taken[@]:1}")
done

# the machine's own services stay out: units are what a test installs, and these few
units=$root/etc/machine-units
mkdir -p "$units" "$root/run/lock" "$root/run/systemd" "$root/etc/systemd/journald.conf.d"
find "$root/etc/systemd/system" -mindepth 1 -delete
for name in sysinit basic shutdown sockets timers paths local-fs network multi-user; do
  printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' "$name" > "$units/$name.target"
done
for name in systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket dbus.service dbus.socket \
  user@.service user-runtime-dir@.service user-.slice polkit.service; do
  [ ! -e "$root/lib/systemd/system/$name" ] || cp "$root/lib/systemd/system/$name" "$units/$name"
done
cat > "$units/$target" <<END
[Unit]
Description=The machine of the tests
DefaultDependencies=no
Wants=systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket dbus.socket
END
printf '[Journal]\nStorage=volatile\nReadKMsg=no\nForwardToSyslog=no\nRateLimitIntervalSec=0\n' \
  > "$root/etc/systemd/journald.conf.d/tests.conf"

cd "$root"
mkdir run/old
pivot_root . run/old
umount -l /run/old
rmdir /run/old
mount --make-rshared / # as it is on a machine; credentials reach their units by it
for number in /proc/self/fd/*; do
  number=${number##*/}
  [ "$number" -le 2 ] || eval "exec $number<&-" 2>/dev/null || true
done
export container=ligand-tests SYSTEMD_UNIT_PATH=/etc/systemd/system:/etc/machine-units
unset LIGAND_TEST_RUN LIGAND_TEST_CGROUPS LIGAND_TEST_OVER
exec /lib/systemd/systemd --system --unit="$target" --log-target=journal --log-level=notice

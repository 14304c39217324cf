# Process 1 of a node: its view of the file system and its network, then waiting.
# Arguments: the node's directory, its number, its package root or "none", its address.
dir=$1 pnn=$2 root=$3 address=$4
hostname "node$pnn"
if [ "$root" != none ]; then
	mount -t overlay package -o lowerdir="$root/usr:/usr" /usr || exit 1
fi
mount -t tmpfs -o mode=755 run /run || exit 1
mkdir -p /run/ctdb /run/samba /run/lock
while read -r own place; do
	mount --bind "$dir/$own" "$place" || exit 1
done <<X
etc-ctdb /etc/ctdb
etc-samba /etc/samba
lib-ctdb /var/lib/ctdb
lib-samba /var/lib/samba
cache-samba /var/cache/samba
log/ctdb /var/log/ctdb
log/samba /var/log/samba
passwd /etc/passwd
X
ip link set lo up
# the other end of the cable is plugged in from outside
while ! ip link set eth0 up 2>/dev/null; do sleep 0.05; done
ip addr add "$address/24" dev eth0
: >"$dir/up"
# an ignored SIGCHLD makes this process reap whatever is left to it
exec env --ignore-signal=CHLD,TERM,INT sleep infinity

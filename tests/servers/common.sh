# common - what every server script here begins with:  NAME.sh DIR PORT [MODE]
#
#   DIR   is served; its files are accessed as its owner, who must not be root
#   PORT  on ADDRESS (default 127.0.0.1), in the foreground; end it with SIGKILL, and its
#         children go with it
#   MODE  plain (default), tls or implicit; tls12, tls13: explicit TLS of that version alone
#
# The login is ftpuser/secret; "anonymous" may only read.  Environment: EXTRA is appended to the
# server's configuration or command line, RUN is a directory for its files (default: a new one),
# SERVER_CACHE keeps unpacked packages and the certificate (default: under the build directory).
# Packages are unpacked, not installed: their services must not start, and they conflict.
# Ends with 3 when the server cannot do MODE.
set -euo pipefail

name=$(basename "$0" .sh)
if [ $# -lt 2 ]; then
    echo "usage: $0 DIR PORT [plain|tls|tls12|tls13|implicit]" >&2
    exit 2
fi

# A process namespace of its own: the death of the first process is the death of all.  That is a
# shell and not the server, which would not expect to inherit orphans (vsftpd ends when it does).
if [ "$(id -u)" = 0 ] && [ -z "${FTPFS_SERVER_CONTAINED:-}" ]; then
    export FTPFS_SERVER_CONTAINED=1
    exec unshare --pid --fork --kill-child -- "$BASH" -c '"$@"; exit $?' "$0" "$BASH" "$0" "$@"
fi

here=$(cd "$(dirname "$0")" && pwd)
dir=$(realpath "$1")
port=$2
mode=${3:-plain}
address=${ADDRESS:-127.0.0.1}
extra=${EXTRA:-}
uid=$(stat -c %u "$dir")
gid=$(stat -c %g "$dir")
cache=${SERVER_CACHE:-${XDG_CACHE_HOME:+$XDG_CACHE_HOME/ftpfs-test-servers}}
cache=${cache:-$here/../../build/servers}
mkdir -p "$cache"
cache=$(realpath "$cache")
run=${RUN:-$(mktemp -d)}
mkdir -p "$run"
chmod 711 "$run"

unsupported() {
    echo "$name: no $mode mode" >&2
    exit 3
}

# deb PACKAGE...: unpack this server's packages, and the libraries they lack here, into $cache/root
deb() {
    exec 9> "$cache/lock"
    flock 9
    if [ ! -e "$cache/unpacked-$name" ]; then
        rm -rf "$cache/deb"
        mkdir -p "$cache/deb" "$cache/root"
        while [ $# != 0 ]; do
            download "$@"
            # shellcheck disable=SC2046
            set -- $(missing_libraries)
        done
        for package in "$cache"/deb/*.deb; do
            dpkg -x "$package" "$cache/root"
        done
        touch "$cache/unpacked-$name"
    fi
    exec 9>&-
    export LD_LIBRARY_PATH=$cache/root/usr/lib/$(uname -m)-linux-gnu:$cache/root/lib/$(uname -m)-linux-gnu
}

# download PACKAGE...: into $cache/deb; a machine that was never updated has no lists to find them by
download() {
    (
        cd "$cache/deb"
        get=(apt-get -qq -o APT::Sandbox::User=root)
        "${get[@]}" download "$@" > /dev/null 2>&1 || {
            "${get[@]}" update > /dev/null
            "${get[@]}" download "$@" > /dev/null
        }
    )
}

# missing_libraries: what the packages in $cache/deb depend on and neither they nor this system has
missing_libraries() {
    local library
    for library in $(find "$cache/deb" -name '*.deb' -exec dpkg-deb -f '{}' Depends ';' |
        grep -oE '\blib[a-z0-9.+-]+' | sort -u); do
        compgen -G "$cache/deb/${library}_*.deb" > /dev/null ||
            [ "$(dpkg-query -W -f '${db:Status-Status}' "$library" 2> /dev/null)" = installed ] ||
            echo "$library"
    done
}

# cert: make a self-signed certificate once; sets $crt, $key and $pem (both in one file)
cert() {
    crt=$cache/cert.pem key=$cache/key.pem pem=$cache/both.pem
    exec 9> "$cache/lock"
    flock 9
    if [ ! -s "$pem" ]; then
        openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=localhost \
            -addext subjectAltName=DNS:localhost,IP:127.0.0.1,IP:10.78.0.2 \
            -keyout "$key" -out "$crt" 2> /dev/null
        chmod 600 "$key"
        (umask 077 && cat "$key" "$crt" > "$pem")
    fi
    exec 9>&-
}

# tls_version MIN MAX: OpenSSL itself holds the server to these, whatever its own options are
tls_version() {
    printf '%s\n' 'openssl_conf = c' '[c]' 'ssl_conf = s' '[s]' 'system_default = d' '[d]' \
        "MinProtocol = TLSv$1" "MaxProtocol = TLSv$2" > "$run/openssl.cnf"
    export OPENSSL_CONF=$run/openssl.cnf
}

case $mode in
    plain) ;;
    tls | implicit) cert ;;
    tls12) cert; tls_version 1.2 1.2; mode=tls ;;
    tls13) cert; tls_version 1.3 1.3; mode=tls ;;
    *) unsupported ;;
esac

# with_users COMMAND...: exec it in a private mount namespace, over whose /etc lies a user database
# with ftpuser/secret (DIR's owner) and ftp (nobody), both with home DIR.  An overlay, because a
# bind mount over /etc/passwd goes away when somebody replaces that file.  What ftpfs has mounted is
# dropped from that namespace, or it would stay mounted there after fusermount3 -u.
with_users() {
    local etc=$run/etc
    mkdir -p "$etc/pam.d"
    {
        echo "ftpuser:x:$uid:$gid::$dir:/bin/sh"
        grep -Ev '^(ftpuser|ftp):' /etc/passwd
        echo "ftp:x:65534:65534::$dir:/bin/sh"
    } > "$etc/passwd"
    (
        umask 077
        grep -Ev '^(ftpuser|ftp):' /etc/shadow > "$etc/shadow"
        echo "ftpuser:$(openssl passwd -6 secret):19000::::::" >> "$etc/shadow"
    )
    # the inetd daemons get no further than pam_unix unless pam_ftp comes first; vsftpd only without
    printf '%s\n' 'auth required pam_unix.so' 'account required pam_permit.so' \
        'session required pam_permit.so' > "$etc/pam.d/vsftpd"
    {
        echo 'auth sufficient pam_ftp.so'
        sed 's/unix.so/& try_first_pass/' "$etc/pam.d/vsftpd"
    } > "$etc/pam.d/ftp"
    exec unshare -m --propagation private bash -c \
        'umount -aclt fuse.ftpfs; mount -t overlay overlay -o "lowerdir=$0:/etc" /etc && exec "$@"' \
        "$etc" "$@"
}

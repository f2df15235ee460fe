#!/bin/bash
# vsftpd (needs root)
. "$(dirname "$0")/common.sh"

deb vsftpd
mkdir -p "$run/empty"
cat > "$run/conf" <<C
listen=YES
listen_address=$address
listen_port=$port
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root=$dir
local_enable=YES
write_enable=YES
local_umask=022
chroot_local_user=YES
allow_writeable_chroot=YES
secure_chroot_dir=$run/empty
pam_service_name=vsftpd
seccomp_sandbox=NO
xferlog_enable=NO
C
if [ "$mode" != plain ]; then
    printf '%s\n' ssl_enable=YES "rsa_cert_file=$crt" "rsa_private_key_file=$key" ssl_ciphers=HIGH \
        allow_anon_ssl=YES force_local_logins_ssl=NO force_local_data_ssl=NO >> "$run/conf"
fi
if [ "$mode" = implicit ]; then
    echo implicit_ssl=YES >> "$run/conf"
fi
printf '%s\n' "$extra" >> "$run/conf"
with_users "$cache/root/usr/sbin/vsftpd" "$run/conf"

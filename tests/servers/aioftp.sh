#!/bin/bash
# aioftp's server; its TLS is implicit only
. "$(dirname "$0")/common.sh"

[ "$mode" != tls ] || unsupported
exec /usr/bin/python3 - "$dir" "$address" "$port" "$mode" "${pem:-}" "$extra" <<'P'
import asyncio
import ssl
import sys

import aioftp

root, address, port, mode, pem, extra = sys.argv[1:7]
context, options = None, {}
if mode == "implicit":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
users = [
    aioftp.User("ftpuser", "secret", base_path=root),
    aioftp.User(base_path=root, permissions=[aioftp.Permission("/", writable=False)]),
]
exec(extra)  # options.update(idle_timeout=5, maximum_connections=2)
asyncio.run(aioftp.Server(users, ssl=context, **options).run(address, int(port)))
P

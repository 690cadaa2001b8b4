# What ssl says of a name that is not the host's, and of a host that nobody vouches for.
import socket, ssl, sys

host, port, authority = sys.argv[1:]
for name, trusted in ("other.example", authority), (host, None):
    context = ssl.create_default_context(cafile=trusted)
    with socket.create_connection((host, int(port)), timeout=20) as tcp:
        try:
            context.wrap_socket(tcp, server_hostname=name)
        except ssl.SSLCertVerificationError as error:
            print(error.verify_code, error.verify_message, error.reason)

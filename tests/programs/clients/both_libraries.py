# Listens at a port of the kernel's choice, and asks an HTTPS host: both_libraries.py HOST PORT AUTHORITY
import http.client, socket, ssl, sys

host, port, authority = sys.argv[1:]
listener = socket.create_server(("127.0.0.1", 0))
print("listening at port", listener.getsockname()[1], flush=True)
context = ssl.create_default_context(cafile=authority)
connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=20)
connection.request("GET", "/first")
print("connected from port", connection.sock.getsockname()[1], flush=True)
page = connection.getresponse().read()
print("page of bytes", len(page), flush=True)

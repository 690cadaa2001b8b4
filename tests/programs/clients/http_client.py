# Two requests on one connection by http.client, and what ssl says of it.
import http.client, socket, ssl, sys

host, port, authority = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=20)
connection.connect()
tls = connection.sock
tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print(tls.version(), tls.cipher(), tls.session_reused, tls.pending(), tls.getpeername()[1] == int(port))
print(tls.getpeercert()["subject"], tls.getpeercert()["subjectAltName"])
for path in "/first", "/second":
    connection.request("GET", path)
    answer = connection.getresponse()
    print(answer.status, answer.getheaders())
    print(answer.read().decode())
connection.close()

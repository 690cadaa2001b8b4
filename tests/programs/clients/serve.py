# A program that is a server as well: serve.py CERTIFICATE KEY AUTHORITY
import socket, ssl, sys, threading

certificate, key, authority = sys.argv[1:]
listener = socket.create_server(("127.0.0.1", 0))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)

def serve():
    with context.wrap_socket(listener.accept()[0], server_side=True) as tls:
        tls.sendall(tls.recv(100))
        tls.unwrap()

server = threading.Thread(target=serve)
server.start()
trusting = ssl.create_default_context(cafile=authority)
with trusting.wrap_socket(socket.create_connection(listener.getsockname()), server_hostname="localhost") as tls:
    tls.sendall(b"hello")
    print(tls.recv(100), tls.recv(100))
server.join()

# Messages with two bytes of length before each, and their answers: messages.py HOST PORT AUTHORITY NAME
import random, socket, ssl, sys

host, port, authority, name = sys.argv[1:]
sizes = random.Random(name)
context = ssl.create_default_context(cafile=authority)
with socket.create_connection((host, int(port)), timeout=20) as tcp:
    with context.wrap_socket(tcp, server_hostname=host) as tls:
        answers = tls.makefile("rb")
        for number in range(10):
            key = f"{name}/{number}".encode().ljust(16, b".")
            message = key + bytes(sizes.choices(b"abcdef", k=sizes.randrange(3000)))
            tls.sendall(len(message).to_bytes(2, "big") + message)
            answer = answers.read(int.from_bytes(answers.read(2), "big"))
            print(answer == message, answer.decode())

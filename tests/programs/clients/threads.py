# Threads that talk over connections of their own, and fork among themselves: threads.py HOST PORT AUTHORITY
import os, socket, ssl, sys, threading

host, port, authority = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
wrong = []

def talk(number):
    for turn in range(5):
        with socket.create_connection((host, int(port)), timeout=20) as tcp:
            with context.wrap_socket(tcp, server_hostname=host) as tls:
                answers = tls.makefile("rb")
                for part in range(3):
                    message = f"{os.getpid()}/{number}/{turn}/{part}".encode().ljust(40, b".")
                    tls.sendall(len(message).to_bytes(2, "big") + message)
                    if answers.read(2 + len(message))[2:] != message:
                        wrong.append(message)

def talk_in_a_child_too(number):
    talk(number)
    child = os.fork()
    if child == 0:
        talk(number)
        os._exit(len(wrong))
    if os.waitpid(child, 0)[1] != 0:
        wrong.append(b"child")

threads = [threading.Thread(target=talk_in_a_child_too, args=(number,)) for number in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(wrong)

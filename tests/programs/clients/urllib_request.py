# urllib says "Connection: close".
import ssl, sys, urllib.request

host, port, authority = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
with urllib.request.urlopen(f"https://{host}:{port}/first", context=context, timeout=20) as answer:
    print(answer.status, answer.headers)
    print(answer.read().decode())

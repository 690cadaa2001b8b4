# asyncio's streams give OpenSSL memory instead of a socket.
import asyncio, ssl, sys

async def main(host, port, authority):
    context = ssl.create_default_context(cafile=authority)
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    print(writer.get_extra_info("cipher"), writer.get_extra_info("peercert")["subject"])
    writer.write(b"GET /first HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    print((await reader.read()).decode())
    writer.close()

asyncio.run(main(*sys.argv[1:]))

"""Clients that stop reading: `stalled_clients.py PORT COUNT BODY`, where SEED in BODY becomes each one's number.

A socket on the loopback interface swallows some 4 MB before it is full, as its segments are 64 KiB and its buffers grow with
them: more than a reply holds. These ask for small segments and a small receive buffer before they connect, as only few
languages let one, so that the server's side is full after some 50 KB, like a phone's that has lost its network.

Prints "reading" once each has had its first bytes. From then on nothing is read until a line comes on stdin: then all is
read to its end, and the number of bytes and the last ones of each are printed as JSON. The end of stdin hangs up.
"""

import json
import socket
import sys

port, count, body = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def ask(number):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    client.connect(("127.0.0.1", port))
    text = body.replace("SEED", str(number))
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    client.sendall(f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode())
    return client


def drain(client):
    size, last = 0, b""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    try:
        while part := client.recv(65536):
            size, last = size + len(part), (last + part)[-20:]
    except OSError as error:
        last = type(error).__name__.encode()
    return {"bytes": size, "end": last.decode()}


clients = [ask(number) for number in range(count)]
for client in clients:
    client.recv(1)
print("reading", flush=True)
if sys.stdin.readline():
    print(json.dumps([drain(client) for client in clients]), flush=True)

"""Runs the worker's image as ECS does, in a network that has only this program: `unshare --net --mount isolated.py ROOT`.

The image's file system is read-only and the user is not root. Names resolve through this program's DNS server. DynamoDB's
name resolves to a server of this program. That server's certificate is trusted only through the certificate file in the
image, so a request that arrives shows that the worker resolved the name and verified the certificate.

Then the image installs its worker in a volume, and the worker runs from there in a root that has neither a worker nor certificates, as in
the task of a job with its own image.
"""

import functools
import http.server
import json
import os
import pathlib
import shutil
import socketserver
import ssl
import struct
import subprocess
import sys
import threading

HOST = "dynamodb.eu-west-1.amazonaws.com"


class Dns(socketserver.BaseRequestHandler):
    """Resolves every name to 127.0.0.1."""

    def handle(self):
        query, socket = self.request
        end = query.index(b"\0", 12) + 5
        (kind,) = struct.unpack(">H", query[end - 4 : end - 2])
        answers = [b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1"] if kind == 1 else []
        head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(answers), 0, 0)
        socket.sendto(head + query[12:end] + b"".join(answers), self.client_address)


class DynamoDb(http.server.BaseHTTPRequestHandler):
    """A table without items."""

    seen = []

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.seen.append([self.headers["host"], self.headers["x-amz-target"]])
        self.send_response(200)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def serve(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()


def certificates(root):
    """Issues a server's certificate and key from a new authority, and makes it the only authority that the image trusts."""
    folder = root.parent
    run = functools.partial(subprocess.run, check=True, capture_output=True, cwd=folder)
    new = ["-newkey", "rsa:2048", "-nodes", "-days", "1"]
    run(["openssl", "req", "-x509", *new, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"])
    issue = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE"]
    names = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    run(["openssl", "req", "-x509", *new, *issue, *names, "-keyout", "server.key", "-out", "server.pem"])
    shutil.copy(folder / "ca.pem", root / "etc/ssl/certs/ca-certificates.crt")
    return folder / "server.pem", folder / "server.key"


def as_a_container(root, volume):
    """What a container runtime adds to an image: a read-only root, a volume, and files for the network."""
    for folder in ("proc", "etc", "longhaul"):
        (root / folder).mkdir(exist_ok=True)
    (root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    subprocess.run(["mount", "--bind", root, root], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
    subprocess.run(["mount", "--bind", volume, root / "longhaul"], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)


def main():
    root = pathlib.Path(sys.argv[1])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    serve(socketserver.UDPServer(("127.0.0.1", 53), Dns))
    made = certificates(root)
    https = http.server.ThreadingHTTPServer(("127.0.0.1", 443), DynamoDb)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*made)
    https.socket = context.wrap_socket(https.socket, server_side=True)
    serve(https)

    job, volume = root.parent / "job", root.parent / "volume"
    for folder in (job, volume):
        folder.mkdir()
    for image in (root, job):
        as_a_container(image, volume)

    def worker(*program, root=root, user="65532:65532", **environment):
        credentials = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "eu-west-1"}
        command = ["chroot", f"--userspec={user}", root, *(program or ["/worker"])]
        # The worker retries without end if it cannot connect.
        command = ["timeout", "20", *command]
        env = os.environ | credentials | environment
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return {"code": done.returncode, "out": done.stdout, "err": done.stderr}

    demo = worker(EXECUTION_INPUT='{"message": "Hello", "processingTime": 1}')
    from_table = worker(EXECUTION_ID="e1", INPUT_TABLE="table")
    seen = list(DynamoDb.seen)
    install = worker("/worker", "install", "/longhaul", user="0:0")
    subprocess.run(["mount", "-o", "remount,bind,ro", job / "longhaul"], check=True)
    installed = worker("/longhaul/worker", root=job, EXECUTION_ID="e2", INPUT_TABLE="table")
    print(json.dumps({"demo": demo, "fromTable": from_table, "seen": seen, "install": install, "installed": installed}))


if __name__ == "__main__":
    main()

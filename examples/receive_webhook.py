"""Receive webhooks with the standard library alone: python examples/receive_webhook.py 8000 webhook.secret."""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from tallystick.errors import TallystickError
from tallystick.sdk.webhooks import unwrap


class Receiver(BaseHTTPRequestHandler):
    """Believe what is signed; act once for each id."""

    def do_POST(self) -> None:
        """Take one webhook."""
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            message = unwrap(body, dict(self.headers), [Path(sys.argv[2]).read_text().strip()])
        except TallystickError:
            return self.send_response(400), self.end_headers()
        print(message.type, message.data.payment, flush=True)
        return self.send_response(204), self.end_headers()


HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()

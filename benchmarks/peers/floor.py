"""`wrk` with requests that were signed beforehand: no client in Python can be cheaper."""

import json
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import line
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

#: Requests that are signed, and connections, as many as others have calls in flight.
SIGNED, CONNECTIONS = 200, 64

#: wrk's thread asks for the next request each time.
SCRIPT = """
local requests, n = {{
{requests}
}}, 0
request = function()
  n = n % #requests + 1
  return requests[n]
end
"""

base = os.environ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]
auth = SigV4Auth(Credentials("benchmark", "benchmark"), "sagemaker", "us-east-1")
scripts: dict[str, Path] = {}


def signed(endpoint: str, n: int) -> str:
    """Return the bytes of a request, as Lua writes a string."""
    url, body = f"{base}/endpoints/{endpoint}/invocations", json.dumps({"features": [n] * 36})
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    request = AWSRequest("POST", url, headers, body)
    auth.add_auth(request)
    host = f"POST {urlsplit(url).path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
    sent = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return json.dumps(f"{host}{sent}\r\n{body}")


def script(endpoint: str) -> Path:
    """Return the file with an endpoint's requests, in the folder of this run."""
    if endpoint not in scripts:
        requests = ",\n".join(signed(endpoint, n) for n in range(SIGNED))
        scripts[endpoint] = Path(f"{endpoint}.lua")
        scripts[endpoint].write_text(SCRIPT.format(requests=requests))
    return scripts[endpoint]


def turn(count: int, endpoint: str) -> dict[str, float]:  # noqa: ARG001 - wrk counts seconds
    """Let wrk run for a second."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", "-d1s", "-s", str(script(endpoint)), base]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"(\d+) requests in ([0-9.]+)s", done.stdout)
    if found is None or "Non-2xx" in done.stdout:
        raise RuntimeError(done.stdout)
    return {"count": int(found[1]), "seconds": float(found[2])}


line.serve(turn)

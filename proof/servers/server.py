"""A WSGI application for gunicorn and uWSGI, and the same for uvicorn and hypercorn (ASGI)."""

import asyncio
import os
import time


def page(path):
    """The halves of the page /N, and how long to wait between them."""
    number = int(path.strip("/"))
    text = f"{number}\n".encode() * 1024
    middle = len(text) // 2
    pause = 0.5 if number >= 1_000_000 else 1.0 if number % 200 == 0 else 0.0
    return text[:middle], text[middle:], pause


def headers(first, second):
    return [("Content-Type", "text/plain"), ("Content-Length", str(len(first + second))), ("x-pid", str(os.getpid()))]


def wsgi(environ, start_response):
    first, second, pause = page(environ["PATH_INFO"])
    start_response("200 OK", headers(first, second))
    yield first
    time.sleep(pause)
    yield second


async def asgi(scope, receive, send):
    first, second, pause = page(scope["path"])
    fields = [(name.lower().encode(), value.encode()) for name, value in headers(first, second)]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": first, "more_body": True})
    await asyncio.sleep(pause)
    await send({"type": "http.response.body", "body": second})

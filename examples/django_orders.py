"""Django hands work over: the view answers 202 at once, workers do the rest.

Run `headrace worker django_orders.py` in one terminal and
`uvicorn django_orders:application` in another; ask with `curl -d name=Ada localhost:8000/orders`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from starlette.applications import Starlette
from starlette.routing import Mount

from headrace import App
from headrace.gateway import Gateway, Settings

app = App("sqlite:///django_orders.db")


@app.task
def invoice(name: str) -> str:
    """Write an invoice."""
    return f"invoice for {name}"


async def order(request: HttpRequest) -> JsonResponse:
    """Accept an order."""
    name = request.POST.get("name", "")
    if not name:
        return JsonResponse({"error": "who are you? send name=..."}, status=422)
    job = await invoice.asubmit(name)
    answer = JsonResponse({"job": job.id}, status=202)
    answer["Location"] = f"/work/v1/jobs/{job.id}"
    return answer


urlpatterns = [path("orders", order)]

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["localhost", "127.0.0.1"])
django.setup()


@asynccontextmanager
async def life(_: Starlette) -> AsyncIterator[None]:
    """Hold the engine open for as long as the server runs."""
    async with app:
        yield


gateway = Gateway(app, Settings(anonymous=True))
places = [Mount("/work", gateway), Mount("/", get_asgi_application())]
application = Starlette(routes=places, lifespan=life)

# SPDX-License-Identifier: Apache-2.0
"""The Django project that test_django_site.py serves, and how gunicorn serves it: by two workers, each
on an address of its own, forked when the cache is open."""

import json
import os

import django
from django.conf import settings
from django.core.cache import caches
from django.core.cache.utils import make_template_fragment_key
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.template import engines
from django.urls import path
from django.views.decorators.cache import cache_page, never_cache
from django.views.decorators.vary import vary_on_headers


def alias(**more):
    """One of CACHES. Copies of what other processes change are short-lived."""
    options = {"local_max_ttl_ms": 50, "remote_timeout_ms": 5000}
    return {
        "BACKEND": "hearth.django.HearthCache",
        "LOCATION": os.environ["HEARTH_TEST_URL"],
        "OPTIONS": options,
        **more,
    }


settings.configure(
    SECRET_KEY="a secret of the site, long enough",
    CACHES={"default": alias(), "other": alias(KEY_PREFIX="other")},
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    MIDDLEWARE=[
        "django.middleware.cache.UpdateCacheMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.cache.FetchFromCacheMiddleware",
    ],
    CACHE_MIDDLEWARE_KEY_PREFIX="site",
    CACHE_MIDDLEWARE_SECONDS=600,
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    ALLOWED_HOSTS=["localhost"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)
django.setup()

FRAGMENT = engines["django"].from_string(
    "{% load cache %}{% cache 600 part user using='other' %}by {{ pid }}{% endcache %} in {{ pid }}"
)


def asked(request):
    """(the method, its arguments) of a call."""
    said = json.loads(request.body)
    cache = caches[said["alias"]]
    return getattr(cache, said["method"]), said["args"], said["named"]


def answered(found):
    """As text that tells a number from its digits; what was raised too."""
    if isinstance(found, dict):
        found = dict(sorted(found.items()))
    return JsonResponse({"found": repr(found)})


def call(request):
    """A method of the cache."""
    method, args, named = asked(request)
    try:
        return answered(method(*args, **named))
    except ValueError as error:
        return answered(error)


async def call_async(request):
    """One that is awaited."""
    method, args, named = asked(request)
    try:
        return answered(await method(*args, **named))
    except ValueError as error:
        return answered(error)


def page(request):
    """Who made it, for the cache middleware."""
    return HttpResponse(f"by {os.getpid()}", headers={"X-Own": "yes"})


@vary_on_headers("X-Device")
def varying(request):
    """Another one for each kind of device."""
    return HttpResponse(f"{request.headers['X-Device']} by {os.getpid()}")


@never_cache
def fragment(request):
    """A part of it is cached."""
    return HttpResponse(FRAGMENT.render({"user": request.GET["user"], "pid": os.getpid()}))


@never_cache
def forget(request):
    """The part is not cached any more."""
    return answered(caches["other"].delete(make_template_fragment_key("part", [request.GET["user"]])))


@never_cache
def visit(request):
    """How often this session was here, in whatever worker."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(f"{request.session['visits']}")


urlpatterns = [
    path("call", call),
    path("call_async", call_async),
    path("page", page),
    path("view", cache_page(600, cache="other", key_prefix="view")(page)),
    path("varying", varying),
    path("fragment", fragment),
    path("forget", forget),
    path("visit", visit),
]

application = get_wsgi_application()

# The master uses it before it forks.
caches["default"].set("from the master", [1])
if caches["default"].get("from the master") != [1]:
    raise SystemExit("the master cannot use its cache")


def post_fork(server, worker):
    """For gunicorn: each worker has one of the addresses."""
    worker.sockets = [worker.sockets[worker.age - 1]]

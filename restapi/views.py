"""The base of the API's views."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from restapi.exceptions import InvalidParameters
from restapi.lists import Rows


class ApiView(APIView):
    """Refuses query parameters that it does not know: an ignored filter looks like an answer."""

    rows: Rows | None = None
    # The query parameters of a view that is no list of `rows`.
    filters: type[serializers.Serializer[Any]] | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(request, *args, **kwargs)
        if isinstance(response, SimpleTemplateResponse):
            response.add_post_render_callback(self._release)
        else:
            self._release(response)
        return response

    def _release(self, response: HttpResponseBase) -> None:
        """Break the cycles between view, request and response: DRF makes some with each request.

        Otherwise hundreds of answers wait in memory for the garbage collector.
        """
        vars(response).pop("renderer_context", None)
        self.request.parser_context.clear()
        vars(self).clear()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.query_params:
            self._check_parameters(request)

    def _check_parameters(self, request: Request) -> None:
        filters = self.filters
        if self.rows is not None and getattr(self, "action", None) == "list":
            filters = self.rows.filters
        known = filters._declared_fields if filters else {}
        faults = {
            name: "There is no such parameter." if name not in known else "This is given twice."
            for name, values in request.query_params.lists()
            if name not in known or len(values) > 1
        }
        if faults:
            raise InvalidParameters(faults)

"""The base of the API's views."""

from __future__ import annotations

from typing import Any

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

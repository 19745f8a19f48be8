"""The JSON of TensorFlow Serving's REST predict API, to arrays and back.

A request is `{"signature_name": S, "instances": [...]}`, a list with one entry for each image, or
`{"signature_name": S, "inputs": ...}`, all images in one value. An entry or value is that of the
signature's only input, or an object of all inputs by name; `{"b64": "..."}` stands for bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.export.served_model import RequestError, ServedModel


def answer(model: ServedModel, body: bytes) -> dict[str, Any]:
    """The answer to the body of a predict request, as JSON values.

    `{"predictions": [...]}` with an object of all outputs for each image if the request is in rows,
    `{"outputs": {...}}` if in columns.

    Raises:
        RequestError: if the request is none that the model understands.
    """
    request = _parse(body)
    name = request.get("signature_name", "")
    if not isinstance(name, str):
        raise RequestError(f"signature_name is {name!r}; it must be a string")
    is_rows = "instances" in request
    if is_rows == ("inputs" in request):
        raise RequestError("a request holds either instances or inputs")
    infos = model.signature(name).inputs
    columns = _columns(request["instances"], infos) if is_rows else _named(request["inputs"], infos)
    arrays = {key: _array(key, value, infos[key].dtype) for key, value in columns.items()}
    outputs = model.predict(name, arrays)
    lists = {key: value.tolist() for key, value in outputs.items()}
    if not is_rows:
        return {"outputs": lists}
    rows = zip(*lists.values(), strict=True)
    return {"predictions": [dict(zip(lists, row, strict=True)) for row in rows]}


def _parse(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON ({error})") from None
    if not isinstance(request, dict):
        raise RequestError("the body is not a JSON object")
    return request


def _columns(instances: Any, infos: Mapping[str, Any]) -> dict[str, list]:
    """The values of each input, one for each image, from rows."""
    if not isinstance(instances, list) or not instances:
        raise RequestError("instances must be a list of at least one entry")
    rows = [_named(instance, infos) for instance in instances]
    return {name: [row[name] for row in rows] for name in infos}


def _named(value: Any, infos: Mapping[str, Any]) -> dict[str, Any]:
    """An object of the inputs by name; the value itself is that of the only input."""
    if not isinstance(value, dict) or value.keys() == {"b64"}:
        if len(infos) != 1:
            raise RequestError(f"the inputs {', '.join(sorted(infos))} must be named")
        return {next(iter(infos)): value}
    if value.keys() != infos.keys():
        raise RequestError(
            f"the inputs are {', '.join(sorted(value)) or 'missing'}; the signature takes "
            f"{', '.join(sorted(infos))}"
        )
    return value


def _array(name: str, value: Any, dtype: int) -> np.ndarray:
    """The value of an input, which is of the type string or uint8 in all signatures."""
    if dtype == tf.string.as_datatype_enum:
        array = np.array(_bytes(name, value), object)
        if not all(isinstance(part, bytes) for part in array.flat):
            raise RequestError(f"{name}: lists of different lengths are no array")
        return array
    try:
        array = np.array(value)
    except ValueError:
        raise RequestError(f"{name}: lists of different lengths are no array") from None
    if array.size and (array.dtype.kind not in "iu" or not 0 <= array.min() <= array.max() <= 255):
        raise RequestError(f"{name}: the values must be whole numbers from 0 to 255")
    return array.astype(np.uint8)


def _bytes(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_bytes(name, part) for part in value]
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError):
            raise RequestError(f"{name}: the text after b64 is not base64") from None
    raise RequestError(f'{name}: images are given as {{"b64": "..."}}')

"""``codeserve list``: the models of a running server."""

from codeserve.app.cli.options import DEFAULT_URL, ApiKey, AsJson, Url

COLUMNS = {
    "uid": "id",
    "type": "model_type",
    "name": "model_name",
    "format": "model_format",
    "size": "model_size_in_billions",
    "quantization": "quantization",
    "state": "state",
}
"""What the columns show of a model."""


def list_launched(
    endpoint: Url = DEFAULT_URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """List the models that were launched on a running server, in whatever state they are."""
    from codeserve.app.cli.client import ServerClient
    from codeserve.app.cli.tables import print_json, print_table

    with ServerClient(endpoint, api_key) as server:
        models = server.ask("GET", "/v1/models")["data"]
    if as_json:
        print_json(models)
        return
    cells = ([one[key] for key in COLUMNS.values()] for one in models)
    print_table(COLUMNS, [["-" if cell is None else str(cell) for cell in row] for row in cells])

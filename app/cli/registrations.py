"""``codeserve registrations``: the model families that a server knows."""

from codeserve.app.cli.options import DEFAULT_URL, ApiKey, AsJson, Url


def registrations(
    endpoint: Url = DEFAULT_URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """List the families that a running server can launch: shipped ones and registered ones."""
    from codeserve.app.cli.client import ServerClient
    from codeserve.app.cli.tables import print_json, print_table

    with ServerClient(endpoint, api_key) as server:
        families = server.ask("GET", "/v1/model_registrations/LLM")
    if as_json:
        print_json(families)
        return
    rows = ((one["model_name"], "yes" if one["is_builtin"] else "no") for one in families)
    print_table(("name", "shipped"), rows)

"""Fields of Anthropic's that POST /v1/messages refuses, as to ignore them would mislead."""

from codeserve.app.api.generation.refusals import Refused

REFUSED: Refused = {
    "container": ((), "This server runs no code."),
    "mcp_servers": (([],), "This server calls no other servers; offer their tools in 'tools'."),
    "output_format": ((), "It is called 'output_config.format' here."),
}

"""The MCP server, with its tools, resources and prompts. Only this package is async."""

"""The MCP surface, and the only async code: tools, resources and prompts over one coordinator."""

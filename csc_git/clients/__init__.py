"""MCP clients: where each keeps its settings, and how our entry comes into them and out again."""

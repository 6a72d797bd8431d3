"""MCP clients: where each client keeps its settings, and how our entry is added and removed."""

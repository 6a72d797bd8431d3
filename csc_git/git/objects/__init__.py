"""Git's objects: how they are read, packed and written; see gitrepository-layout(5)."""

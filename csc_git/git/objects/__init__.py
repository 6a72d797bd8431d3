"""Git's objects: functions that read, pack and write them; see gitrepository-layout(5)."""

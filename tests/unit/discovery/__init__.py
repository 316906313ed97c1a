"""The pure steps, one by one."""

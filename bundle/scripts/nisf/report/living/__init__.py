"""The living page of a scan: the fitted function itself, computed in the browser wherever a plane is laid."""

select changes()

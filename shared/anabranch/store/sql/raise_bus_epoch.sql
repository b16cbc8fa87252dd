UPDATE fleet_bus SET epoch = epoch + 1 WHERE epoch = $1

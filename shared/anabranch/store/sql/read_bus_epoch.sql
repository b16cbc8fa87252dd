SELECT epoch FROM fleet_bus

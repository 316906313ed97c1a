"""Both stages without a broker: events in, alerts, findings and conflicts out."""

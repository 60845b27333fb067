"""The store of many nodes: one PostgreSQL database, a bounded pool of connections each (decisions 0024, 0025)."""

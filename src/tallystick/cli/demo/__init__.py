"""The demo: the main job, played over real TLS against sandbox back ends."""

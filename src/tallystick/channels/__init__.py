"""Stage 1: access channel management, inbound. Who sends this, and may they?"""

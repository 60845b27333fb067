"""Stage 6: access channel management, outbound. Intent first, then the send, then the outcome."""

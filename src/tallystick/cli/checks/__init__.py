"""What `tallystick doctor` looks at, by topic: each check returns what it saw, or raises what is wrong."""

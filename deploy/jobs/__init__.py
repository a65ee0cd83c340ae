"""What `make deploy` adds to template.yaml for the jobs of longhaul.toml.

The jobs come as the JSON that `longhaul jobs resolved` prints: checked, with defaults applied. generate.py combines the parts:
tasks.py, roles.py, network.py and catalog.py. limits.py checks what AWS limits.
"""

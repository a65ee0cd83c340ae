# What a developer types. `make test` is the one gate: it installs what it needs and runs everything that has to pass.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := target/venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# Doc comments, lints and warnings are part of the gate; in `cargo run` a warning stays one.
CARGO_TEST := $(shell command -v cargo-nextest >/dev/null && echo "cargo nextest run" || echo "cargo test")

.PHONY: help
help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Start everything on this machine
	cargo run

.PHONY: test
test: format lint docs rust ## Run everything that has to pass

.PHONY: format
format: ## Check the formatting
	cargo fmt --all --check

.PHONY: lint
lint: ## Run clippy; a warning fails
	cargo clippy --workspace --all-targets -- --deny warnings

.PHONY: docs
docs: ## Build the documentation; a warning fails
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --quiet

.PHONY: rust
rust: $(VENV)/.made ## Run the Rust tests, end to end included
	cargo build --workspace --bins
	$(CARGO_TEST) --workspace

# The clients that others wrote, which the end-to-end tests run against the local stack.
$(VENV)/.made: tests/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement $<
	touch $@

.PHONY: openapi
openapi: ## Print the OpenAPI document into openapi.yaml
	cargo run --quiet --package api --bin openapi > openapi.yaml.new && mv openapi.yaml.new openapi.yaml
